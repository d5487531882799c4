"""Progress of a fetch for whoever watches: one line redrawn on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from typing import TextIO

from worker.models.errors import size_text

_REDRAW_S = 0.2
_PLAIN_EVERY = 25
"""Percent between two plain lines of one step: enough to see that it moves, few enough for a log."""


class Progress:
    """Writes to ``stream``. Steps follow one another; the last call of a step decides what stays on screen."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live = stream.isatty()
        self._label = ""
        self._next_draw = 0.0
        self._next_percent = _PLAIN_EVERY

    def say(self, text: str) -> None:
        """A line that stays."""
        self._write(f"{text}\n")

    def step(self, label: str) -> None:
        """Begin a step; what :meth:`tick` reports from now on belongs to it."""
        self._label = label
        self._next_draw = 0.0
        self._next_percent = _PLAIN_EVERY
        self._write(f"  {label}" if self._live else f"  {label}\n")

    def tick(self, done: int, total: int) -> None:
        """``done`` of about ``total`` bytes (0: unknown) so far."""
        done = min(done, total) if total else done
        percent = 100 * done // total if total else None
        if self._live:
            if (now := time.monotonic()) >= self._next_draw:
                self._next_draw = now + _REDRAW_S
                share = f" {percent}%" if percent is not None else ""
                self._write(f"  {self._label}{share} ({size_text(done)}{f' of {size_text(total)}' if total else ''})")
        elif percent is not None and percent >= self._next_percent:
            self._next_percent += _PLAIN_EVERY * max(1, (percent - self._next_percent) // _PLAIN_EVERY + 1)
            self._write(f"  {self._label} {percent}% ({size_text(done)} of {size_text(total)})\n")

    def done(self) -> None:
        """The step leaves nothing on a terminal: what comes next says how it ended."""
        if self._live:
            self._write("")

    def _write(self, text: str) -> None:
        self._stream.write(f"\r\x1b[K{text}" if self._live else text)
        self._stream.flush()
