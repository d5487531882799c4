"""Jobs this worker will not serve, and who takes them: what it was never able to, what waits here when it drains."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from typing import Any

from redis.exceptions import RedisError

from worker.contract import residency
from worker.contract.jobs import BattleJob, ChatJob, models_of
from worker.contract.placement import Fleet

log = logging.getLogger(__name__)

LIMIT_S = 2.0
"""A worker that must stop does not wait longer for Redis."""


class Elsewhere:
    """``me``: this worker's name. ``redis``: the loop's client, once there is a loop."""

    def __init__(self, me: str, redis: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self._me = me
        self._redis = redis
        self._clock = clock
        self._fleet = Fleet()
        self._dice = random.Random()  # noqa: S311 (spreads load)

    async def for_job(self, job: BattleJob | ChatJob, *, alive: bool = False) -> str | None:
        """The other worker that takes it; None when none does, or nobody can be asked.

        ``alive``: one that is silent, and may be dead, will not do.
        """
        try:
            async with asyncio.timeout(LIMIT_S):
                reports = await residency.read_async(self._redis)
        except (RedisError, OSError) as error:
            log.warning("other workers cannot be asked after: %s", type(error).__name__)
            return None
        others = [r for r in reports if r.worker != self._me and not (alive and residency.silent(r))]
        return self._fleet.place(models_of(job), self._clock(), self._dice, others)
