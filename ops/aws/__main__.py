"""``python -m ops.aws``."""

import sys

from ops.aws.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
