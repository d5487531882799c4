"""From strengths to the rows of a leaderboard: ranks, how far each rank may be off, and who is still preliminary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from web.ratings.bradley_terry import CENTRE, PRIOR, SCALE, Estimate, estimate
from web.ratings.tally import Count, Floats, Tally, from_counts

SAME = 1e-6
"""Ratings closer than this are equal; numerical noise must not rank anybody."""
Order = Literal["rating", "lower"]


@dataclass(frozen=True, slots=True)
class Standing:
    """A row of the board. ``lower`` and ``upper`` bound ``rating`` with 95 %; ``win_rate`` counts a tie half.

    ``best_rank`` is one more than the models surely above (their interval begins above where this one ends), as
    LMArena ranks; ``worst_rank`` is one that leaves only those surely below it. Those two say what the votes know;
    ``rank`` is a place in the order and nothing more.
    """

    model: str
    rank: int
    rating: float
    lower: float
    upper: float
    votes: int
    win_rate: float
    best_rank: int
    worst_rank: int


def standings(counts: Sequence[Count], prior: float) -> list[Standing]:
    """The board from counts, best first; equal ratings share a rank."""
    tally = from_counts(counts)
    return table(tally, estimate(tally, prior))


def table(tally: Tally, found: Estimate, order: Order = "rating") -> list[Standing]:
    """The board, best first, ordered by rating or by the lower bound (TTS Arena: doubt must not put anybody on top).

    Equals share a rank and stand in the order of their names.
    """
    rating, lower, upper = (CENTRE + SCALE * x for x in (found.theta, found.lower, found.upper))
    by = rating if order == "rating" else lower
    above = by[None, :] - by[:, None] > SAME
    best = 1 + (lower[None, :] > upper[:, None]).sum(1)
    worst = tally.size - (upper[None, :] < lower[:, None]).sum(1)
    games, points = played(tally)
    rows = [
        Standing(
            model=tally.models[i],
            rank=1 + int(above[i].sum()),
            rating=float(rating[i]),
            lower=float(lower[i]),
            upper=float(upper[i]),
            votes=round(float(games[i])),
            win_rate=float(points[i] / games[i]) if games[i] else 0.5,
            best_rank=int(best[i]),
            worst_rank=int(worst[i]),
        )
        for i in range(tally.size)
    ]
    return sorted(rows, key=lambda row: (row.rank, row.model))


def played(tally: Tally) -> tuple[Floats, Floats]:
    """Unweighted games and points of each model: ``(models,)`` both."""
    size = tally.size
    games = np.bincount(tally.a, tally.games, size) + np.bincount(tally.b, tally.games, size)
    points = np.bincount(tally.a, tally.games * tally.score, size)
    points = points + np.bincount(tally.b, tally.games * (1 - tally.score), size)
    return np.asarray(games, dtype=np.float64), np.asarray(points, dtype=np.float64)


__all__ = ["PRIOR", "SAME", "Order", "Standing", "played", "standings", "table"]
