"""``python -m ops.grafana [--check]``."""

from __future__ import annotations

import sys
from pathlib import Path

from ops.grafana.dashboard import text

FILE = Path(__file__).with_name("arena.json")


def main(argv: list[str]) -> int:
    """Write the dashboard; with ``--check`` only say whether it is the one that would be written."""
    if argv == ["--check"]:
        same = FILE.exists() and FILE.read_text() == text()
        print(f"{FILE} is {'up to date' if same else 'not what the code makes: python -m ops.grafana'}")
        return not same
    FILE.write_text(text())
    print(FILE)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
