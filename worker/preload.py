"""What a worker loads before it takes battles: alone the catalog's first models, beside others what they lack.

Workers that start together choose one after the other, under a lock, and say what they chose before they let go of it;
else all of them would see an empty arena and load the same. A lock that cannot be had in time costs only that.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any

from redis.exceptions import RedisError

from worker.contract import residency
from worker.contract.residency import Residency, pair_key
from worker.memory import NOTHING
from worker.models.fitting import Fit

log = logging.getLogger(__name__)

LIMIT_S = 5.0
"""A worker that starts waits no longer for others that do."""
_LOCK = "arena:preload"
_LEAST = 0.02
"""Of all demand, shared out evenly: what nobody has asked for yet should be somewhere too."""


async def agreed(redis: Any, me: str, fit: Fit, wanted: Sequence[str] | None = None) -> tuple[str, ...]:
    """What worker ``me`` is to load, once the others can know of it. ``wanted``: what its operator has chosen."""
    chosen: tuple[str, ...] | None = None if wanted is None else tuple(wanted)
    try:
        async with asyncio.timeout(LIMIT_S), redis.lock(_LOCK, timeout=LIMIT_S):
            if chosen is None:
                chosen = first_to_load(fit, [r for r in await residency.read_async(redis) if r.worker != me])
            models = tuple(m for e in fit.engines for m in (e.id, *e.adapters))
            told = Residency(me, time.time(), False, fit.scene.capacity, models=models, planned=chosen)
            await residency.report(redis, told)
    except (RedisError, OSError) as error:
        log.warning("workers that start now may load the same models: %s", type(error).__name__)
    return first_to_load(fit) if chosen is None else chosen


def first_to_load(fit: Fit, others: Iterable[Residency] = ()) -> tuple[str, ...]:
    """As many engines as there are places and bytes for; equal ones in the catalog's order.

    Pure. Each place goes to the model, and beside it to the pair, that has most demand for each copy there would be
    (V. D'Hondt's rule for seats of a parliament), by the demand and the models that ``others`` report.
    """
    cover = _Cover(fit, others)
    chosen: list[str] = []
    held = NOTHING
    while len(chosen) < fit.scene.capacity:
        able = [
            e
            for e in fit.engines
            if e.spec.engine != "remote" and e.id not in chosen and (held + e.footprint.resident).fits(fit.scene.budget)
        ]
        if not able:
            break
        best = max(able, key=lambda e: cover.value(e.id, chosen))
        chosen.append(best.id)
        held = held + best.footprint.resident
    return (*chosen, *(e.id for e in fit.engines if e.spec.engine == "remote"))


class _Cover:
    """How much each engine and pair of engines is wanted, and how many workers hold it or are about to."""

    def __init__(self, fit: Fit, others: Iterable[Residency]) -> None:
        self._copies: Counter[str] = Counter()
        self._asked: dict[str, float] = defaultdict(float)
        for report in others:
            if (report.accepting or report.planned) and not residency.silent(report):  # else it is leaving
                here = sorted({e.id for m in (*report.ready, *report.loading, *report.planned) if (e := fit.engine(m))})
                self._copies.update((*here, *(pair_key(*pair) for pair in combinations(here, 2))))
            for key, rate in report.asked.items():
                engines = {e.id for m in key.split("|") if (e := fit.engine(m))}
                for name in {*engines, "|".join(sorted(engines))}:
                    self._asked[name] += rate
        total = sum(self._asked[e.id] for e in fit.engines)
        self._least = _LEAST * total / len(fit.engines) if total else 1.0

    def value(self, engine: str, beside: Sequence[str]) -> tuple[float, float]:
        return sum(self._for_each(pair_key(engine, other)) for other in beside), self._for_each(engine)

    def _for_each(self, name: str) -> float:
        return (self._asked.get(name, 0.0) + self._least) / (self._copies[name] + 1)
