"""Picks the command and turns every way of ending into an exit status and a readable last line."""

from __future__ import annotations

import sys

from ops.setup.console import Progress, SetupError, show


def main(argv: list[str]) -> int:
    """``argv``: the command (up, down, test) and its own arguments. Returns the exit status."""
    command, rest = argv[0], argv[1:]
    try:
        if command == "up":
            from ops.setup.up import up

            return up(rest)
        if command == "down":
            from ops.setup.up import down

            return down(rest)
        from ops.setup.testing import run_tests

        return run_tests(rest)
    except SetupError as error:
        show(error)
        return 1
    except KeyboardInterrupt:
        Progress.clear()
        print("\nStopped. Run the same command to go on from here.", file=sys.stderr)
        return 130
