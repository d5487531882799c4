"""Policies that look at weights and votes. Each gives every pair a probability above 0 and has a version.

A version names the policy and, by a digest, its parameters: two battles with the same version were drawn by the same
rule. What the rule looked at (who could run, votes, residency) changes with every draw and is in the probability.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from web.arena.sampling.distribution import Floats, PairDistribution, ends
from web.arena.sampling.situation import PairVotes, Situation

UNIFORM = "uniform-1"
_UNKNOWN = PairVotes(0.0, 0.25)
"""A pair nobody has voted on: the widest a win or a loss can scatter."""
_LEAST_VARIANCE = 0.01


class Policy(Protocol):
    """``distribution`` is pure; ``version`` fits the column of battles (40 characters)."""

    @property
    def version(self) -> str: ...

    def distribution(self, now: Situation) -> PairDistribution:
        """Over ``now.models``, every pair above 0."""
        ...


def versioned(name: str, revision: int, parameters: Mapping[str, Any]) -> str:
    """``<name>-<revision>.<digest of the parameters>``; ``revision`` counts changes of the rule itself."""
    told = json.dumps(parameters, sort_keys=True, separators=(",", ":"))
    return f"{name}-{revision}.{hashlib.blake2b(told.encode(), digest_size=5).hexdigest()}"


@dataclass(frozen=True, slots=True)
class Uniform:
    """Every pair alike."""

    version: str = field(default=UNIFORM, init=False)

    def distribution(self, now: Situation) -> PairDistribution:
        return PairDistribution.uniform(now.models)


@dataclass(frozen=True, slots=True)
class Weighted:
    """The first model by weight, the second by weight among the rest, as FastChat draws; 1 where no weight is given.

    ``newcomer``: what a model's weight is multiplied by until it has ``ramp`` counted votes (LMArena's published rule
    is 5 until 3,000); it falls evenly to 1 on the way, so that nobody's share jumps.
    """

    weights: Mapping[str, float]
    newcomer: float = 1.0
    ramp: int = 0

    @property
    def version(self) -> str:
        told = {"weights": dict(self.weights), "newcomer": self.newcomer, "ramp": self.ramp}
        return versioned("weighted", 2, told)

    def distribution(self, now: Situation) -> PairDistribution:
        share = [self.weights.get(m, 1.0) for m in now.models]
        if min(share) <= 0:
            raise ValueError("every weight must be positive")
        if self.ramp and self.newcomer != 1.0:
            votes = now.per_model(now.per_pair({k: v.games for k, v in now.votes.items()}))
            missing = [max(1 - v / self.ramp, 0.0) for v in votes]
            share = [w * (1 + (self.newcomer - 1) * m) for w, m in zip(share, missing, strict=True)]
        return PairDistribution.of(now.models, pair_weights(share))


def pair_weights(share: Floats) -> list[float]:
    """Probability of each pair when one model is drawn by ``share`` and then another among the rest."""
    if len(share) == 2:
        return [1.0]
    total = math.fsum(share)
    p = [w / total for w in share]
    rest = [math.fsum(p[:i]) + math.fsum(p[i + 1 :]) for i in range(len(p))]  # 1 - p is 0 where one dwarfs the others
    return [p[i] * p[j] * (1 / rest[i] + 1 / rest[j]) for i, j in ends(len(p))]


@dataclass(frozen=True, slots=True)
class Active:
    """By the expected shrinkage of a pair's interval by one more vote: section 5 of arXiv 2403.04132 (Chatbot Arena).

    The interval of a pair's win rate is proportional to ``sqrt(v / n)`` for ``n`` votes with variance ``v``; one more
    makes it ``sqrt(v / (n + 1))``. The compact state this needs is ``n`` and ``v`` of each pair. A share ``floor`` is
    uniform.
    """

    floor: float = 0.1

    @property
    def version(self) -> str:
        return versioned("active", 1, {"floor": self.floor})

    def distribution(self, now: Situation) -> PairDistribution:
        known = [now.votes.get(k, _UNKNOWN) for k in now.keys]
        gain = [
            math.sqrt(max(v.variance, _LEAST_VARIANCE)) * (1 / math.sqrt(v.games + 1) - 1 / math.sqrt(v.games + 2))
            for v in known  # one vote is taken for granted: with none the gain would be infinite
        ]
        return PairDistribution.of(now.models, gain).mixed(PairDistribution.uniform(now.models), self.floor)
