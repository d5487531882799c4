"""``python -m worker.models``."""

import sys

from worker.models.cli import main

if __name__ == "__main__":
    sys.exit(main())
