"""A probability for every unordered pair of models. Policies make them and mix them; what is drawn carries its own.

One object holds the numbers that are drawn from *and* stored, so the stored probability cannot drift from the real one.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, combinations

Floats = Sequence[float]


@dataclass(frozen=True, slots=True)
class Draw:
    """Model ids by side; ``probability`` that ``policy`` draws these two, in either order."""

    a: str
    b: str
    probability: float
    policy: str


class TooFewModels(ValueError):  # noqa: N818
    """A battle needs two different models."""


@lru_cache(maxsize=256)
def ends(models: int) -> tuple[tuple[int, int], ...]:
    """The two members of every pair of so many models, as indices; the order of everything here that is by pair."""
    return tuple(combinations(range(models), 2))


def in_order(models: Iterable[str]) -> tuple[str, ...]:
    """The models without repeats, sorted: a distribution's own order. Raises TooFewModels."""
    found = tuple(sorted(set(models)))
    if len(found) < 2:
        raise TooFewModels(f"a battle needs two models and there is {len(found)}")
    return found


@dataclass(frozen=True, slots=True)
class PairDistribution:
    """``p[k]`` is the probability of the k-th pair of ``models`` in the order of :func:`ends`; they sum to 1."""

    models: tuple[str, ...]
    p: tuple[float, ...]

    @classmethod
    def of(cls, models: Iterable[str], weight: Floats) -> PairDistribution:
        """Pairs in proportion to ``weight``, in the order of :func:`ends` over the sorted models.

        Raises TooFewModels; ValueError when a weight is negative or not finite, or all are 0.
        """
        names = in_order(models)
        if len(weight) != len(ends(len(names))):
            raise ValueError(f"{len(names)} models make {len(ends(len(names)))} pairs, not {len(weight)}")
        most = max(weight)
        if not all(map(math.isfinite, weight)) or min(weight) < 0 or most <= 0:
            raise ValueError("pairs need finite weights, none negative and not all 0")
        scaled = [w / most for w in weight]  # or else very large ones would add up to infinity
        total = math.fsum(scaled)
        return cls(names, tuple(w / total for w in scaled))

    @classmethod
    def uniform(cls, models: Iterable[str]) -> PairDistribution:
        """Every pair alike. Raises TooFewModels."""
        names = in_order(models)
        return cls.of(names, [1.0] * len(ends(len(names))))

    def mixed(self, other: PairDistribution, share: float) -> PairDistribution:
        """Drawn from ``other`` with probability ``share``, else from this one. Both must be over the same models."""
        if other.models != self.models or not 0 <= share <= 1:
            raise ValueError("a mixture needs the same models on both sides and a share from 0 to 1")
        both = zip(other.p, self.p, strict=True)
        return PairDistribution(self.models, tuple(share * p + (1 - share) * q for p, q in both))

    def without(self, out: Collection[str]) -> PairDistribution:
        """This one, given that none of ``out`` is drawn. Raises TooFewModels.

        To draw, find a model out, and draw again from this, gives every other pair exactly the probability it has here.
        """
        names = in_order(m for m in self.models if m not in out)
        kept = [m not in out for m in self.models]
        left = [p for p, (i, j) in zip(self.p, ends(len(self.models)), strict=True) if kept[i] and kept[j]]
        return PairDistribution.of(names, left)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The pairs in the order of ``p``, each sorted."""
        return list(combinations(self.models, 2))

    def probability(self, one: str, other: str) -> float:
        """Of these two meeting, on whichever sides; 0 for a model that is not in it, or for one and the same."""
        if one == other or one not in self.models or other not in self.models:
            return 0.0
        i, j = sorted((self.models.index(one), self.models.index(other)))
        n = len(self.models)
        return self.p[i * n - i * (i + 1) // 2 + j - i - 1]

    def draw(self, rng: random.Random, policy: str) -> Draw:
        """One pair by its probability, sides by a fair coin."""
        total = list(accumulate(self.p))
        k = bisect_right(total, rng.random() * total[-1])
        if k >= len(self.p) or self.p[k] <= 0:  # rounding at the far end
            k = max(n for n, p in enumerate(self.p) if p > 0)
        a, b = (self.models[n] for n in ends(len(self.models))[k])
        if rng.random() < 0.5:
            a, b = b, a
        return Draw(a, b, min(self.p[k], 1.0), policy)
