"""Online Elo, for comparison only: it depends on the order of the votes and has no intervals (Elo 1978).

FastChat's parameters: K = 4, everybody begins at 1000, 400 points for ten to one.
"""

from __future__ import annotations

from collections.abc import Iterable

from web.ratings.bradley_terry import CENTRE, SCALE, Estimate

K = 4.0


def elo(games: Iterable[tuple[str, str, float]], k: float = K) -> dict[str, float]:
    """Ratings after ``(a, b, score of a)`` in this order."""
    ratings: dict[str, float] = {}
    for a, b, score in games:
        first, second = ratings.setdefault(a, CENTRE), ratings.setdefault(b, CENTRE)
        change = k * (score - 1 / (1 + 10 ** ((second - first) / 400)))
        ratings[a], ratings[b] = first + change, second - change
    return ratings


def apart(ratings: dict[str, float], found: Estimate) -> float:
    """Largest difference between Elo and Bradley-Terry over all models."""
    exact = dict(zip(found.models, (CENTRE + SCALE * found.theta).tolist(), strict=True))
    return max((abs(ratings[m] - exact[m]) for m in exact), default=0.0)
