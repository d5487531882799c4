"""``python ops/setup up|down|test``: the door the shell commands go through, so that it works from any folder."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent.parent)

from ops.setup.main import main  # noqa: E402  the line above makes it importable

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
