"""Votes by pair as policies want them, from the counts a leaderboard is made of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from web.arena.sampling.situation import PairVotes
from worker.contract.residency import pair_key


class Count(NamedTuple):
    """``games`` votes in which ``a`` scored ``score`` (1, 0.5 or 0) against ``b``."""

    a: str
    b: str
    score: float
    games: int


def by_pair(counts: Iterable[Count]) -> dict[str, PairVotes]:
    """Games and variance of one vote's score, with one win and one loss added: three votes alike are no certainty."""
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for count in counts:
        score = count.score if count.a < count.b else 1 - count.score
        for place, value in enumerate((1.0, score, score**2)):
            sums[pair_key(count.a, count.b)][place] += value * count.games
    found = {}
    for key, (games, points, squares) in sums.items():
        mean = (points + 1) / (games + 2)
        found[key] = PairVotes(games, (squares + 1) / (games + 2) - mean**2)
    return found
