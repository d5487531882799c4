"""Prefer pairs whose engines are in memory, in rounds that give every pair its share all the same.

Switching engines is what makes people wait, so a pair that is in memory should go on for a while. Left at that, pairs
that happen to be cheap would meet more often, and where tastes are not transitive the ranking would lean their way.
So draws come in *rounds*: in each every pair has a quota, ``stay`` battles on average, in proportion to the base
policy; the first rounds are shorter, so that a young board soon knows a little of everybody. While a pair in memory has
some of its quota left it goes on; when it has none, memory moves to the pair that could start soonest and has some. A
round is over when every quota is used.

At every draw a share ``floor`` is the base policy's: nobody can rule any pair out, and every stored probability is
that of the mixture, exact and above 0. Who has just had the favoured pair, names and all, is given one of the pairs
nearest to it instead: their next pair would else be no secret to them.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

from web.arena.sampling.distribution import Floats, PairDistribution
from web.arena.sampling.policies import Policy, versioned
from web.arena.sampling.situation import Situation
from worker.contract.residency import Residency

LOAD_S, WAKE_S = 15.0, 2.0
"""What bringing an engine up is taken to cost where a worker does not say how long a pair would wait."""
ALIKE_S = 0.5
"""Waits that differ by less are the same."""
_NEVER_S = 1e6
_FIRST = 20.0
"""Battles of a pair, on average, in the first round; each round is twice as long as the one before, up to ``stay``."""
_LEAST = 0.5
"""A pair with less of its quota left than this has had it."""


@dataclass(frozen=True, slots=True)
class ResidencyAware:
    """``stay``: battles of a pair on average before memory moves on; 0: no rounds, what is in memory just goes on.

    ``floor``: the share of battles that ``base`` draws.
    """

    base: Policy
    floor: float = 0.01
    stay: float = 40.0

    @property
    def version(self) -> str:
        return versioned("residency", 1, {"base": self.base.version, "floor": self.floor, "stay": self.stay})

    def distribution(self, now: Situation) -> PairDistribution:
        base = now.meeting(self.base.distribution(now))
        left = self._left(now, base)
        favoured = _favoured(now, left)
        if now.seen and any(w > 0 and k in now.seen for k, w in zip(now.keys, favoured, strict=True)):
            favoured = _unseen(now, left)
            if not any(favoured):
                return base
        return PairDistribution.of(now.models, favoured).mixed(base, self.floor)

    def is_over(self, now: Situation) -> bool:
        """Whether every pair has had its quota: the next round begins with nothing drawn and another name."""
        quota = self._quota(now, now.meeting(self.base.distribution(now)))
        return self.stay > 0 and max(_less(quota, now.per_pair(now.drawn))) < _LEAST

    def _quota(self, now: Situation, base: PairDistribution) -> list[float]:
        stay = min(self.stay, _FIRST * 2.0 ** min(now.rounds, 60))
        return [max(stay * len(base.p) * p, 1.0) if p > 0 else 0.0 for p in base.p]

    def _left(self, now: Situation, base: PairDistribution) -> list[float]:
        """Battles each pair still has in this round. If all have had theirs, nobody has begun the next round yet."""
        if self.stay <= 0:
            return [1.0] * len(base.p)
        quota = self._quota(now, base)
        left = _less(quota, now.per_pair(now.drawn))
        return left if max(left) >= _LEAST else quota


def _less(quota: Floats, drawn: Floats) -> list[float]:
    return [q - d for q, d in zip(quota, drawn, strict=True)]


def _favoured(now: Situation, left: Floats) -> list[float]:
    """A weight for each pair, 0 for most: those that could start at once by what is ``left`` to them, else the next.

    The next is one pair and not several, or each would ask for a switch of its own. Of those that could start equally
    soon it is the one begun already, so that all draws until it is in memory agree; else one of the models that have
    met least.
    """
    wait = _open(now, left)
    soonest = min(wait)
    if soonest <= 0:
        return [n if w <= 0 else 0.0 for n, w in zip(left, wait, strict=True)]
    met = now.per_model(now.per_pair(now.drawn))

    def order(k: int) -> tuple[float, float, bytes]:
        i, j = now.ends[k]
        return round(left[k], 6), met[i] + met[j], _shuffled(now.round, now.keys[k])

    following = min((k for k, w in enumerate(wait) if w <= soonest + ALIKE_S), key=order)
    return [float(k == following) for k in range(len(left))]


def _unseen(now: Situation, left: Floats) -> list[float]:
    """Pairs the asker has not had, those that could start soonest by what is ``left`` to them; all 0 if there is none.

    Several and not one, or whoever asks again and again would know what comes.
    """
    wait = _open(now, [0.0 if k in now.seen else n for k, n in zip(now.keys, left, strict=True)])
    soonest = min(wait) + ALIKE_S
    return [n if w <= soonest and math.isfinite(w) else 0.0 for n, w in zip(left, wait, strict=True)]


def _open(now: Situation, left: Floats) -> list[float]:
    """How long each pair would wait; for ever, if it has nothing left."""
    return [w if n >= _LEAST else math.inf for w, n in zip(waits(now), left, strict=True)]


def waits(now: Situation) -> list[float]:
    """Seconds until a battle of each pair would start, on whichever worker is soonest, as the workers' reports say."""
    told = [_waits(now, r) for r in now.reports if r.accepting]
    return [min(each) for each in zip(*told, strict=True)] if told else [_NEVER_S] * len(now.keys)


def _waits(now: Situation, report: Residency) -> list[float]:
    each = [_bring_s(report, m) for m in now.models]
    bring = [each[i] + each[j] for i, j in now.ends]
    return [s if s >= _NEVER_S else report.eta.get(k, s) for k, s in zip(now.keys, bring, strict=True)]


def _bring_s(report: Residency, model: str) -> float:
    if model in report.failed or (report.models and model not in report.models):
        return _NEVER_S
    if model in report.ready or model in report.loading:
        return 0.0
    return WAKE_S if model in report.sleeping else LOAD_S


def _shuffled(name: str, key: str) -> bytes:
    return hashlib.blake2b(f"{name}|{key}".encode(), digest_size=8).digest()
