"""Picks the command and turns every way of ending into an exit status and a readable last line."""

from __future__ import annotations

import sys

from ops.install.command import install
from ops.setup.console import Progress, SetupError, show
from ops.setup.processes import Interrupts
from ops.setup.testing import run_tests
from ops.setup.up import down, up

COMMANDS = {"up": up, "down": down, "test": run_tests}
PRODUCTION = "--production"


def main(argv: list[str]) -> int:
    """``argv``: the command (up, down, test) and its own arguments. Returns the exit status."""
    command, rest = argv[0], argv[1:]
    try:
        with Interrupts():
            if command == "up" and PRODUCTION in rest:
                rest.remove(PRODUCTION)
                return install(rest)
            return COMMANDS[command](rest)
    except SetupError as error:
        show(error)
        return 1
    except KeyboardInterrupt:
        Progress.clear()
        print("\nStopped. Run the same command to go on from here.", file=sys.stderr)
        return 130
