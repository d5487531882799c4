"""Which two models meet, and on which side. Pure: the dice are passed in.

A pair's probability is stored with the battle before anything is generated, so that any later ranking can correct for
how pairs were drawn. It is the probability of the *unordered* pair; sides are a fair coin on top.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

UNIFORM = "uniform-1"
WEIGHTED = "weighted-1"


@dataclass(frozen=True, slots=True)
class Draw:
    """Model ids by side; ``probability`` that ``policy`` draws these two, in either order."""

    a: str
    b: str
    probability: float
    policy: str


class TooFewModels(ValueError):  # noqa: N818
    """A battle needs two different models."""


def sample_pair(models: Sequence[str], weights: Mapping[str, float] | None, rng: random.Random) -> Draw:
    """Draw two different models: the first by weight (1 where none is given), the second by weight among the rest.

    Without weights, or with equal ones, every pair is equally likely. Raises TooFewModels; ValueError for a weight that
    is not positive.
    """
    share = {m: 1.0 if weights is None else weights.get(m, 1.0) for m in models}
    if len(share) < 2:
        raise TooFewModels(f"a battle needs two models and there is {len(share)}")
    if min(share.values()) <= 0:
        raise ValueError("every weight must be positive")
    first = _pick(share, rng)
    second = _pick({m: w for m, w in share.items() if m != first}, rng)
    a, b = (first, second) if rng.random() < 0.5 else (second, first)
    policy = UNIFORM if len(set(share.values())) == 1 else WEIGHTED
    return Draw(a, b, pair_probability(share, first, second), policy)


def pair_probability(share: Mapping[str, float], one: str, other: str) -> float:
    """Probability that :func:`sample_pair` draws these two, in either order."""
    total = sum(share.values())
    p, q = share[one] / total, share[other] / total
    return p * q / (1 - p) + q * p / (1 - q)


def _pick(share: Mapping[str, float], rng: random.Random) -> str:
    return rng.choices(list(share), weights=list(share.values()))[0]
