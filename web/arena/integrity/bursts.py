"""Many hands with a few votes each that all at once find one model better, or worse, than everybody did before.

Page's cumulative sum (1954) over the votes on a model in order of time: the log likelihood ratio between a win rate
that has jumped and one that drifted as far as taste and fashion may take it. It stays near zero while nothing happens,
and where it climbs past a bound the stretch from its foot to its top is when the burst was. Of one voter only
a few votes weigh, so that it takes many; who had voted before the burst is believed as before. Of newcomers' votes on
that model in that stretch none counts, whichever way it went: to drop only one way would turn the burst around.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from web.arena.integrity.rules import Rules
from web.arena.integrity.sequential import Bools, Floats, Ints, occurrence, ratio, sigmoid


@dataclass(frozen=True, slots=True)
class Burst:
    """From look ``first`` to look ``last``, both inside."""

    first: int
    last: int


def bursts(logit: Floats, won: Bools, unit: Ints, rules: Rules, tests: int) -> list[Burst]:
    """Bursts for or against one model, in the order of time of its looks (see ``sequential.looks``).

    ``tests``: among how many such searches this is one; all of them together raise a false alarm with ``alpha``.
    """
    if not len(logit):
        return []
    few = occurrence(unit) < rules.hands
    bound = np.log(tests * len(logit) / rules.alpha)
    found = []
    for sign in (1, -1):
        toward = sign * logit
        hit = won if sign > 0 else ~won
        gain = ratio(hit, sigmoid(toward + rules.drift + rules.jump), sigmoid(toward + rules.drift))
        found += _climbs(np.where(few, gain, 0.0), float(bound))
    return found


def _climbs(gain: Floats, bound: float) -> list[Burst]:
    """Stretches in which the sum, reset whenever it would be negative, climbs to ``bound`` or more."""
    total = np.concatenate([[0.0], np.cumsum(gain)])
    height = total - np.minimum.accumulate(total)
    found = []
    starts = np.flatnonzero(height == 0.0)
    for start, end in zip(starts, [*starts[1:], len(height)], strict=True):
        if end - start > 1:
            top = start + int(np.argmax(height[start:end]))
            if height[top] >= bound:
                found.append(Burst(int(start), top - 1))
    return found
