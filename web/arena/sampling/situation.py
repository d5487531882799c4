"""All that a policy may look at when a pair is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from web.arena.sampling.distribution import Floats, PairDistribution, TooFewModels, ends, in_order
from worker.contract.residency import Residency, pair_key


@dataclass(frozen=True, slots=True)
class PairVotes:
    """Counted votes of an unordered pair, and the variance of one vote's score (a win 1, a tie half)."""

    games: float
    variance: float


@lru_cache(maxsize=64)
def keys_of(models: tuple[str, ...]) -> tuple[str, ...]:
    """Every pair's :func:`pair_key`, in the order of a distribution over ``models``."""
    return tuple(pair_key(models[i], models[j]) for i, j in ends(len(models)))


@dataclass(frozen=True, slots=True)
class Situation:
    """What is known at a draw. Keys of mappings by pair are :func:`worker.contract.residency.pair_key`'s."""

    models: tuple[str, ...]
    """Who may be drawn: sorted, no repeats, at least two; see :func:`among`."""
    reports: Sequence[Residency] = ()
    votes: Mapping[str, PairVotes] = field(default_factory=dict)
    """As of the newest leaderboard."""
    drawn: Mapping[str, int] = field(default_factory=dict)
    """Battles of each pair in this round; see :mod:`web.arena.sampling.residency`."""
    round: str = ""
    """The round's name: shuffles what would else be in the order of names."""
    rounds: int = 0
    """How many rounds are over."""
    seen: frozenset[str] = frozenset()
    """Pairs the asker has lately had."""
    apart: frozenset[str] = frozenset()
    """Pairs that no worker can answer both sides of: they do not meet."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Every pair's key, in the order of a distribution over ``models``."""
        return keys_of(self.models)

    def per_pair(self, values: Mapping[str, float]) -> list[float]:
        """``values`` by pair, 0 where there is none, in the order of a distribution over ``models``."""
        return [values.get(k, 0.0) for k in self.keys]

    def per_model(self, by_pair: Floats) -> list[float]:
        """Sums over each model's pairs, in the order of ``models``."""
        sums = [0.0] * len(self.models)
        for (i, j), value in zip(self.ends, by_pair, strict=True):
            sums[i] += value
            sums[j] += value
        return sums

    def meeting(self, drawn: PairDistribution) -> PairDistribution:
        """``drawn``, given that it is none of those that are apart. Raises TooFewModels when all are."""
        if not self.apart:
            return drawn
        weight = [0.0 if k in self.apart else p for k, p in zip(self.keys, drawn.p, strict=True)]
        if not any(weight):
            raise TooFewModels("no worker can answer for two of them")
        return PairDistribution.of(self.models, weight)

    @property
    def ends(self) -> tuple[tuple[int, int], ...]:
        """The two members of every pair, as indices into ``models``."""
        return ends(len(self.models))


def among(models: Sequence[str]) -> Situation:
    """These models and nothing else known. Raises TooFewModels."""
    return Situation(in_order(models))
