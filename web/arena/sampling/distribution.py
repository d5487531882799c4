"""A probability for every unordered pair of models. Policies make them and mix them; what is drawn carries its own.

One object holds the numbers that are drawn from *and* stored, so the stored probability cannot drift from the real one.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


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
def ends(models: int) -> tuple[Ints, Ints]:
    """The two members of every pair of so many models, as indices; the order in which all arrays here are."""
    one, other = np.triu_indices(models, 1)
    one.flags.writeable = other.flags.writeable = False
    return one, other


def in_order(models: Iterable[str]) -> tuple[str, ...]:
    """The models without repeats, sorted: a distribution's own order. Raises TooFewModels."""
    found = tuple(sorted(set(models)))
    if len(found) < 2:
        raise TooFewModels(f"a battle needs two models and there is {len(found)}")
    return found


@dataclass(frozen=True, slots=True, eq=False)
class PairDistribution:
    """``p[k]`` is the probability of the k-th pair of ``models`` in the order of :func:`ends`; they sum to 1."""

    models: tuple[str, ...]
    p: Floats

    @classmethod
    def of(cls, models: Iterable[str], weight: Floats) -> PairDistribution:
        """Pairs in proportion to ``weight``, in the order of :func:`ends` over the sorted models.

        Raises TooFewModels; ValueError when a weight is negative or not finite, or all are 0.
        """
        names = in_order(models)
        weight = np.asarray(weight, dtype=np.float64)
        if weight.shape != (len(names) * (len(names) - 1) // 2,):
            raise ValueError(f"{len(names)} models make {len(names) * (len(names) - 1) // 2} pairs, not {weight.shape}")
        most = float(weight.max())
        if not np.all(np.isfinite(weight)) or weight.min() < 0 or most <= 0:
            raise ValueError("pairs need finite weights, none negative and not all 0")
        scaled = weight / most  # or else very large ones would add up to infinity
        return cls(names, scaled / scaled.sum())

    @classmethod
    def uniform(cls, models: Iterable[str]) -> PairDistribution:
        """Every pair alike. Raises TooFewModels."""
        names = in_order(models)
        return cls.of(names, np.ones(len(names) * (len(names) - 1) // 2))

    def mixed(self, other: PairDistribution, share: float) -> PairDistribution:
        """Drawn from ``other`` with probability ``share``, else from this one. Both must be over the same models."""
        if other.models != self.models or not 0 <= share <= 1:
            raise ValueError("a mixture needs the same models on both sides and a share from 0 to 1")
        return PairDistribution(self.models, share * other.p + (1 - share) * self.p)

    def without(self, out: Collection[str]) -> PairDistribution:
        """This one, given that none of ``out`` is drawn. Raises TooFewModels.

        To draw, find a model out, and draw again from this, gives every other pair exactly the probability it has here.
        """
        names = in_order(m for m in self.models if m not in out)
        one, other = ends(len(self.models))
        kept = np.array([m not in out for m in self.models])
        return PairDistribution.of(names, self.p[kept[one] & kept[other]])

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The pairs in the order of ``p``, each sorted."""
        one, other = ends(len(self.models))
        return [(self.models[i], self.models[j]) for i, j in zip(one, other, strict=True)]

    def probability(self, one: str, other: str) -> float:
        """Of these two meeting, on whichever sides; 0 for a model that is not in it, or for one and the same."""
        if one == other or one not in self.models or other not in self.models:
            return 0.0
        i, j = sorted((self.models.index(one), self.models.index(other)))
        n = len(self.models)
        return float(self.p[i * n - i * (i + 1) // 2 + j - i - 1])

    def draw(self, rng: random.Random, policy: str) -> Draw:
        """One pair by its probability, sides by a fair coin."""
        total = np.cumsum(self.p)
        k = int(np.searchsorted(total, rng.random() * total[-1], side="right"))
        if k >= len(self.p) or self.p[k] <= 0:  # rounding at the far end
            k = int(np.flatnonzero(self.p)[-1])
        one, other = ends(len(self.models))
        a, b = self.models[one[k]], self.models[other[k]]
        if rng.random() < 0.5:
            a, b = b, a
        return Draw(a, b, min(float(self.p[k]), 1.0), policy)
