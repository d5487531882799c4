"""FastChat's ``outlier_detect`` (commit 0e6d3e4) as it stands, to compare with: users of at least five votes, their
first hundred, ties as half a point against a history of wins and losses, flagged above 1 / 0.05.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from web.arena.integrity.ballots import Ballots

_FEWEST, _MOST, _ALPHA = 5, 100, 0.05


def outliers(ballots: Ballots) -> set[int]:
    """The sessions it flags."""
    swapped = ballots.a > ballots.b
    first, second = np.where(swapped, ballots.b, ballots.a), np.where(swapped, ballots.a, ballots.b)
    score = np.where(swapped, 1 - ballots.score, ballots.score)
    pair = first * len(ballots.models) + second
    size = len(ballots.models) ** 2
    wins, losses = np.bincount(pair[score == 1], minlength=size), np.bincount(pair[score == 0], minlength=size)
    low = losses / np.maximum(wins + losses, 1)
    votes: dict[int, list[int]] = defaultdict(list)
    for row, session in enumerate(ballots.session.tolist()):
        votes[session].append(row)
    return {s for s, rows in votes.items() if len(rows) >= _FEWEST and _flagged(low[pair[rows]], score[rows])}


def _flagged(low: np.ndarray, score: np.ndarray) -> bool:
    low, score = low[:_MOST], score[:_MOST]
    at_most = np.where(score == 1, 1.0, low)
    at_least = np.where(score == 0, 1.0, 1 - low)
    with np.errstate(divide="ignore"):
        products = (np.cumprod(1 / (2 * p)) for p in (at_most, at_least))
        return any(bool((product > 1 / _ALPHA).any()) for product in products)
