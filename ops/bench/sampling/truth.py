"""Arenas whose truth is known: who really beats whom how often, votes drawn from that, and what is made of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from ops.bench.simulation import World, names
from web.arena.sampling import PairVotes
from web.arena.sampling.tally import Count, by_pair
from web.ratings import tally, weights
from web.ratings.bradley_terry import CENTRE, SCALE, Estimate, estimate

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

TIES = 0.2
"""Votes of an even pair that are ties."""
SPREAD = 100.0
"""Standard deviation of the true ratings, in points: about that of the models on a public board's first page."""


@dataclass(frozen=True, slots=True)
class Truth:
    """``wins[i, j]``: how often i scores against j, ties being half."""

    models: tuple[str, ...]
    rating: Floats
    wins: Floats

    @classmethod
    def transitive(cls, models: int, seed: int = 0) -> Truth:
        """Ratings like even steps through a normal distribution, in shuffled order."""
        return cls.cyclic(models, 0.0, seed)

    @classmethod
    def cyclic(cls, models: int, strength: float, seed: int = 0) -> Truth:
        """The same, with tastes that go round in a circle: each model is ``strength`` points better than its rating
        against the half that follows it, and as much worse against the half before it.
        """
        ids = tuple(names(World(models=models)))
        steps = [NormalDist(0, SPREAD).inv_cdf((n + 0.5) / models) for n in range(models)]
        rating = np.random.default_rng(seed).permutation(np.array(steps))
        step = (np.arange(models)[None, :] - np.arange(models)[:, None]) % models
        edge = strength * (np.where((step > 0) & (2 * step < models), 1, 0) - np.where(2 * step > models, 1, 0))
        odds = rating[:, None] - rating[None, :] + edge
        return cls(ids, CENTRE + rating, 1 / (1 + np.exp(-odds / SCALE)))

    def in_order(self, ratings: Floats, apart: float) -> bool:
        """Whether no two models stand the wrong way round whose true ratings are more than ``apart`` points apart."""
        truly = self.rating[:, None] - self.rating[None, :] > apart
        return not np.any(truly & (ratings[:, None] <= ratings[None, :]))


def _ties(wins: float) -> float:
    """How often a pair ties: less where one of them nearly always wins."""
    return 2 * TIES * min(wins, 1 - wins)


class Polls:
    """Votes as they come in, and what the newest leaderboard knows of them: that of every 50th vote."""

    EVERY = 50

    def __init__(self, truth: Truth, seed: int) -> None:
        self.truth = truth
        self.known: dict[str, PairVotes] = {}
        self._index = {m: n for n, m in enumerate(truth.models)}
        self._dice = Random(f"votes {seed}")  # noqa: S311 - a simulation
        self._counts: Counter[tuple[str, str, float]] = Counter()

    def vote(self, one: str, other: str) -> float:
        """The score of ``one``."""
        wins = float(self.truth.wins[self._index[one], self._index[other]])
        ties, dice = _ties(wins), self._dice.random()
        score = 0.5 if dice < ties else float(dice < ties + wins - ties / 2)
        self._counts[one, other, score] += 1
        if self._counts.total() % self.EVERY == 0:
            self.known = by_pair(Count(a, b, s, games) for (a, b, s), games in self._counts.items())
        return score


@dataclass(frozen=True, slots=True)
class Battles:
    """Battles in order: indices of both models, the probability stored with each, and a's score."""

    a: Ints
    b: Ints
    p: Floats
    score: Floats

    @classmethod
    def of(cls, truth: Truth, met: Sequence[tuple[str, str, float, float]]) -> Battles:
        """From ids, probabilities and scores."""
        index = {m: n for n, m in enumerate(truth.models)}
        a, b = (np.array([index[m[side]] for m in met], dtype=np.intp) for side in (0, 1))
        return cls(a, b, np.array([m[2] for m in met]), np.array([m[3] for m in met]))

    def first(self, count: int) -> Battles:
        return Battles(self.a[:count], self.b[:count], self.p[:count], self.score[:count])


def fitted(truth: Truth, battles: Battles, weighting: weights.Weighting) -> Estimate:
    """The leaderboard that those votes give."""
    models, a, b, scores = truth.models, battles.a, battles.b, battles.score
    if weighting == "propensity":
        by = weights.propensity(battles.p)
        return estimate(tally.from_votes(models, a, b, scores, by))
    plain = tally.from_votes(models, a, b, scores)
    return estimate(weights.realised(plain) if weighting == "realised" else plain)


def width(found: Estimate) -> float:
    """Mean half width of the intervals, in points."""
    return float(np.mean(found.upper - found.lower)) / 2 * SCALE
