"""What a person at the terminal sees: numbered steps, one moving progress line, and errors that say what to do."""

from __future__ import annotations

import sys
import time
from pathlib import Path

STARTED = time.monotonic()
QUIET_EVERY_S = 15.0
"""Where output is no terminal, a progress line at most this often."""


class SetupError(Exception):
    """Something a person must change. ``what`` happened, ``fix`` is what to do about it, one line each or a few."""

    def __init__(self, what: str, fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix


def elapsed() -> str:
    """Time since the command began, as ``m:ss``."""
    seconds = int(time.monotonic() - STARTED)
    return f"{seconds // 60}:{seconds % 60:02d}"


def step(text: str) -> None:
    """A new step begins."""
    Progress.clear()
    print(f"[{elapsed()}] {text}", flush=True)


def note(text: str) -> None:
    """Something worth knowing inside a step."""
    Progress.clear()
    print(f"       {text}", flush=True)


def show(error: SetupError) -> None:
    """The error and its fix, on stderr."""
    Progress.clear()
    print(f"\n{error.what}", file=sys.stderr)
    for line in error.fix.splitlines():
        print(f"  -> {line}", file=sys.stderr)


class Progress:
    """One line that changes while a step lasts; on a log file, a line now and then."""

    _shown = 0
    _last = STARTED

    @classmethod
    def show(cls, text: str, force: bool = False) -> None:
        """Replace the moving line by ``text``; ``force`` says it on a log file too, however recent the last one is."""
        now = time.monotonic()
        if sys.stdout.isatty():
            text = f"       {text}"[:118]
            print(f"\r{text:<{cls._shown}}", end="", flush=True)
            cls._shown = len(text)
        elif force or now - cls._last >= QUIET_EVERY_S:
            cls._last = now
            print(f"[{elapsed()}]   {text}", flush=True)

    @classmethod
    def clear(cls) -> None:
        """Wipe the moving line, if there is one."""
        if cls._shown:
            print(f"\r{'':<{cls._shown}}\r", end="", flush=True)
            cls._shown = 0
        cls._last = time.monotonic()


def tail(path: Path, lines: int = 25) -> str:
    """The end of a log, indented; a readable word where there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 20_000))
            text = file.read().decode(errors="replace")
    except OSError:
        return "    (no log)"
    return "\n".join(f"    {line}" for line in text.splitlines()[-lines:]) or "    (the log is empty)"
