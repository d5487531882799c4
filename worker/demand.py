"""What a worker has lately been asked for, for those who spread models over workers by demand."""

from __future__ import annotations

import math
from collections.abc import Callable

HALF_S = 300.0
"""What was asked this long ago counts half."""
_FORGOTTEN = 0.05
"""A weight below which nothing is remembered: what was asked once, some twenty minutes ago."""


class Demand:
    """``note`` each job; ``rates`` by what they needed, a minute."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seen: dict[str, tuple[float, float]] = {}

    def note(self, what: str) -> None:
        """One more job for ``what``: a pair's key, or a model's id."""
        now = self._clock()
        self._seen[what] = self._weight(what, now) + 1.0, now

    def rates(self) -> dict[str, float]:
        now = self._clock()
        weights = {what: self._weight(what, now) for what in self._seen}
        self._seen = {what: (weight, now) for what, weight in weights.items() if weight >= _FORGOTTEN}
        a_minute = 60.0 * math.log(2) / HALF_S
        return {what: round(weights[what] * a_minute, 4) for what in self._seen}

    def _weight(self, what: str, now: float) -> float:
        weight, at = self._seen.get(what, (0.0, now))
        return weight * math.exp2((at - now) / HALF_S)
