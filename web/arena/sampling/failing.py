"""Models that keep failing take no part for a while.

A battle that could not be started does not say which of its two models was at fault (nothing that leaves a worker for
people names a model), so both are noted; a model that starts is cleared at once, so the innocent one soon is. Workers
say themselves which engines rest (``residency.failed``); this is for failures they do not take for their engine's.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Failures:
    """Battles in a row that ended before they began; ``last``: unix seconds of the newest."""

    count: int
    last: float


def resting(failures: Mapping[str, Failures], now: float, after: int, rest_s: float) -> frozenset[str]:
    """Models that take no part now: ``after`` or more failures in a row, the newest less than ``rest_s`` ago."""
    return frozenset(m for m, f in failures.items() if f.count >= after and now - f.last < rest_s)


def fit(models: Sequence[str], out: Collection[str]) -> list[str]:
    """``models`` without those ``out``; all if fewer than two would be left, since a guess must not close the arena."""
    left = [m for m in models if m not in out]
    return left if len(left) >= 2 else list(models)
