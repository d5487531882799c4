"""One turn of one battle, from the job to its result: attempts, the deadline, and who may stop it.

A side's failure is data in the result. What leaves this module for people (events, failures) never names a model.
Showing puts the answers on the page, Answering gets them out of the engines.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

from worker.answer import DIED, OVERFLOW, TOO_LATE, TOO_OFTEN, UNAVAILABLE, overloaded
from worker.answering import Answering, Interrupted, Tries, all_of
from worker.contract import channel, logs
from worker.contract.events import Failure
from worker.contract.jobs import BattleJob, BattleResult, SideResults, read_result
from worker.errors import Overloaded, Refused
from worker.pool.meter import Meter
from worker.pool.pool import Pool
from worker.settings import WorkerSettings
from worker.showing import Showing
from worker.stopping import HandedBack, Stop
from worker.waiting import tell_waiting

log = logging.getLogger(__name__)


class Battle:
    """``run()`` once. ``on_started(attempt)`` is awaited when an attempt has its first engines."""

    def __init__(
        self,
        job: BattleJob,
        *,
        pool: Pool,
        redis: Any,
        settings: WorkerSettings,
        stop: Stop,
        on_started: Callable[[int], Awaitable[None]],
        meter: Meter | None = None,
        clock: Callable[[], float] = time.monotonic,
        coin: Callable[[], float] = random.random,
    ) -> None:
        self.job = job
        self._pool = pool
        self._redis = redis
        self._settings = settings
        self._stop = stop
        self._on_started = on_started
        self._started = 0
        self._clock = clock
        self._received = clock()
        self._showing = Showing(job, redis, settings, clock)
        self._tries = Tries(settings.max_attempts)
        self._answering = Answering(
            job,
            pool=pool,
            showing=self._showing,
            tries=self._tries,
            meter=meter or pool.meter,
            on_leased=self._leased,
            clock=clock,
            coin=coin,
        )

    async def run(self) -> BattleResult:
        """Raises HandedBack when the worker shuts down first, StaleAttempt when another worker has taken over.

        A turn that was answered before, by a worker that could not send it off, is not answered again.
        """
        try:
            await self._showing.claim()
            logs.bind(attempt=self._showing.attempt)
        except channel.Answered as before:
            return read_result(before.result)
        result = await self._answered()
        await self._showing.keep(result)
        return result

    async def _answered(self) -> BattleResult:
        if self._showing.tries > self._settings.max_attempts:
            await self._showing.end_now(TOO_OFTEN)
            return self._result()
        self._tries.left -= max(self._showing.tries - 1, 0)
        wish = await channel.cancel_requested(self._redis, self.job.battle_id)
        if wish is not None and wish.means(self.job.turn, self.job.retry):
            self._stop.ask(wish.by, wish.reason)
        if await self._stop.cuts_short(self._attempts(), self.job.deadline):
            if self._stop.reason == "shutdown":
                raise HandedBack
            await self._showing.end_now(TOO_LATE if self._stop.reason == "deadline" else None)
        return self._result()

    async def _attempts(self) -> None:
        """Until both sides have ended and have been shown, in this attempt or a later one."""
        while True:
            try:
                await all_of(
                    self._answering.until_answered(),
                    self._showing.until_drained(),
                    tell_waiting(self._pool, self._answering.names, self._showing, self._clock),
                )
                return
            except Interrupted as lost:
                if lost.failure is OVERFLOW and not self._showing.shown:
                    self._showing.refuse()
                if not lost.restart or not self._tries.another(lost.failure):
                    await self._showing.end_now(lost.failure)
                    return
                await self._showing.restart()
                logs.bind(attempt=self._showing.attempt)
            except Refused as error:
                log.warning("battle %s: %s", self.job.battle_id, error)
                await self._showing.end_now(self._why(error))
                return

    def _why(self, error: Refused) -> Failure:
        """One failure for both sides, so that it does not tell which model is at fault."""
        if isinstance(error, Overloaded):
            return overloaded(error.retry_after_s)
        return DIED if self._tries.lost_to is DIED else UNAVAILABLE

    async def _leased(self) -> None:
        if self._started != self._showing.attempt:
            self._started = self._showing.attempt
            await self._on_started(self._started)

    def _result(self) -> BattleResult:
        by = self._stop.reason if self._stop.reason in ("user", "operator") else None
        waited = self._clock() - self._received
        sides = {side: answer.result(waited) for side, answer in self._showing.answers.items()}
        return BattleResult(
            self.job.battle_id,
            self.job.turn,
            self._showing.attempt,
            SideResults(sides["a"], sides["b"]),
            cancelled_by=by,
            cancel_reason=self._stop.words if by else "",
            retry=self.job.retry,
        )
