"""How much a client may say."""

from __future__ import annotations

from collections.abc import Callable


class Allowance:
    """At most ``most`` messages in every window of ``window_s`` seconds."""

    def __init__(self, most: int, window_s: float, clock: Callable[[], float]) -> None:
        self._most = most
        self._window_s = window_s
        self._clock = clock
        self._began = clock()
        self._used = 0

    def spend(self) -> bool:
        """Count one message; False when it is one too many."""
        now = self._clock()
        if now - self._began > self._window_s:
            self._began, self._used = now, 0
        self._used += 1
        return self._used <= self._most
