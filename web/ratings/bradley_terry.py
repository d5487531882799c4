"""Bradley-Terry by Newton's method: strengths from who beat whom.

A game between i and j with score s (1 i won, 0 j won, 1/2 a tie) has expected score ``1 / (1 + exp(theta_j -
theta_i))`` (Bradley and Terry 1952; Zermelo 1929). The prior is a normal one with mean 0 and precision ``prior`` on
every theta: it keeps undefeated and unconnected models finite, and makes the sum of all theta 0. Without it
(``prior=0``) the estimate exists if and only if no group of models won or lost every game against the rest (Ford
1957), and other data are refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from web.ratings import intervals
from web.ratings.newton import NotConverged, maximise
from web.ratings.tally import Count, Floats, Pairs, Tally, from_counts

__all__ = [
    "CENTRE",
    "PRIOR",
    "SCALE",
    "Z_95",
    "Estimate",
    "NotConnected",
    "NotConverged",
    "Strength",
    "estimate",
    "fit",
]

SCALE = 400 / math.log(10)
CENTRE = 1000.0
Z_95 = intervals.Z_95
PRIOR = 0.1
"""Default precision of the prior: as much as ``4 x prior`` ties with an average model."""


@dataclass(frozen=True, slots=True)
class Strength:
    """A model on the Elo scale: mean of all models 1000, 400 points for ten to one."""

    model: str
    rating: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """Strengths of ``models`` on the natural scale; ``theta`` sums to 0, ``lower <= theta <= upper`` with 95 %."""

    models: tuple[str, ...]
    theta: Floats
    lower: Floats
    upper: Floats

    @property
    def ratings(self) -> Floats:
        """``theta`` on the Elo scale."""
        return np.asarray(CENTRE + SCALE * self.theta)

    def strengths(self) -> list[Strength]:
        """Strongest first; equal ones in the order of their names."""
        low, high = CENTRE + SCALE * self.lower, CENTRE + SCALE * self.upper
        rating = self.ratings
        return [
            Strength(self.models[i], float(rating[i]), float(low[i]), float(high[i]))
            for i in np.argsort(-rating, kind="stable")
        ]


class NotConnected(ValueError):  # noqa: N818
    """Without a prior these votes have no finite estimate: ``group`` never lost, or never won, against the rest."""

    def __init__(self, group: Iterable[str]) -> None:
        self.group = tuple(group)
        named = ", ".join(self.group[:3]) + (", ..." if len(self.group) > 3 else "")
        super().__init__(f"without a prior there is no estimate: {named} never won, or never lost, against the rest")


def estimate(
    tally: Tally,
    prior: float = PRIOR,
    *,
    interval: intervals.Kind = "sandwich",
    samples: int = 100,
    seed: int = 0,
) -> Estimate:
    """Strengths with 95 % intervals of the named kind (see :mod:`web.ratings.intervals`).

    ``prior`` 0 is for connected data only: otherwise NotConnected. Raises ValueError for a negative or infinite prior,
    and when intervals by voter are asked of a tally without voters.
    """
    if not 0 <= prior < math.inf:
        raise ValueError("the prior must be a number of at least 0")
    pairs = tally.pairs()
    if prior == 0:
        _refuse_unconnected(tally, pairs)
    theta = maximise(pairs, prior)
    if interval == "bootstrap":
        lower, upper = intervals.bootstrap(tally, theta, prior, samples, seed)
    else:
        spread = Z_95 * np.sqrt(intervals.variance(tally, theta, prior, interval))
        lower, upper = theta - spread, theta + spread
    return Estimate(tally.models, theta, lower, upper)


def fit(counts: Iterable[Count], prior: float) -> list[Strength]:
    """Strengths of every model that occurs, strongest first, with 95 % sandwich intervals; see :func:`estimate`."""
    return estimate(from_counts(counts), prior).strengths()


def _refuse_unconnected(tally: Tally, pairs: Pairs) -> None:
    if tally.size < 2:
        return
    scored = pairs.points > 0
    for arrows in (scored, scored.T):
        reached = np.zeros(tally.size, dtype=bool)
        reached[0] = True
        while True:
            more = reached | arrows[reached].any(0)
            if (more == reached).all():
                break
            reached = more
        if not reached.all():
            group = reached if reached.sum() <= tally.size / 2 else ~reached
            raise NotConnected(m for m, inside in zip(tally.models, group, strict=True) if inside)
