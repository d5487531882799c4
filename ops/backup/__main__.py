"""``python -m ops.backup``."""

import sys

from ops.backup.cli import main

if __name__ == "__main__":
    sys.exit(main())
