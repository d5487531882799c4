"""One turn of one battle: wait for both engines, stream both sides, say how each ended.

A side's failure is data in the result. What leaves this module for people (events, failures) never names a model.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from worker.answer import DIED, INTERNAL, OVERFLOW, TOO_LATE, TOO_OFTEN, UNAVAILABLE, Answer
from worker.contract import channel
from worker.contract import events as ev
from worker.contract.events import SIDES, CancelledBy, Failure, Side, StoredEvent
from worker.contract.jobs import BattleJob, BattleResult, SideJob, SideResults, task_id
from worker.errors import ContextOverflow, EngineDied, ModelUnavailable, PromptError
from worker.pacing import Pacer
from worker.pool.leases import Contender
from worker.pool.pool import Pool
from worker.pool.progress import Queued
from worker.settings import WorkerSettings

log = logging.getLogger(__name__)

StopReason = CancelledBy | Literal["deadline", "shutdown"]


class HandedBack(Exception):  # noqa: N818
    """The worker is shutting down: this job belongs back in the queue."""


@dataclass(slots=True)
class Stop:
    """Asks a running battle to stop; the first reason wins."""

    reason: StopReason | None = None
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    def ask(self, reason: StopReason) -> None:
        if self.reason is None:
            self.reason = reason
            self.asked.set()


class Battle:
    """``run()`` once. ``on_started(attempt)`` is awaited when both engines are leased."""

    def __init__(
        self,
        job: BattleJob,
        *,
        pool: Pool,
        redis: Any,
        settings: WorkerSettings,
        stop: Stop,
        on_started: Callable[[int], Awaitable[None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.job = job
        self._pool = pool
        self._name = task_id(job.battle_id, job.turn)
        self._redis = redis
        self._settings = settings
        self._stop = stop
        self._on_started = on_started
        self._clock = clock
        self._attempt = 0
        self._received = clock()
        self._leased_at: float | None = None
        self._answers: dict[Side, Answer] = {"a": Answer(), "b": Answer()}
        self._open: set[Side] = set(SIDES)
        self._publishing = asyncio.Lock()
        self._pacer = Pacer(
            tick_s=settings.flush_ms / 1000,
            cap_s=settings.pace_cap_s,
            tail_s=settings.pace_tail_s,
            enabled=settings.pace,
        )

    async def run(self) -> BattleResult:
        """Raises HandedBack when the worker shuts down first, StaleAttempt when another worker has taken over."""
        battle = self.job.battle_id
        self._attempt = await channel.claim_attempt(self._redis, battle)
        if self._attempt > self._settings.max_attempts:
            return self._all_failed(TOO_OFTEN)
        if self._attempt > 1:
            await self._publish([ev.BattleRestarted(self._attempt)])
        if (by := await channel.cancel_requested(self._redis, battle)) is not None:
            self._stop.ask(by)
        deadline = asyncio.get_running_loop().call_later(
            max(self.job.deadline - time.time(), 0.0), self._stop.ask, "deadline"
        )
        try:
            return await self._until_stopped()
        finally:
            deadline.cancel()

    async def _until_stopped(self) -> BattleResult:
        work = asyncio.create_task(self._lease_and_stream())
        stopped = asyncio.create_task(self._stop.asked.wait())
        try:
            await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                work.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await work
        finally:
            stopped.cancel()
            work.cancel()
        if work.cancelled():
            return await self._stopped()
        work.result()
        return self._result()

    async def _lease_and_stream(self) -> None:
        sides = {s: getattr(self.job.sides, s) for s in SIDES}
        waiting = asyncio.create_task(self._tell_waiting())
        try:
            models = [sides[s].model for s in SIDES]
            async with self._pool.lease(self._name, models, self.job.session) as lease:
                waiting.cancel()
                self._leased_at = self._clock()
                await self._on_started(self._attempt)
                await self._stream({s: (lease.contenders[sides[s].model], sides[s]) for s in SIDES})
        except ModelUnavailable as error:
            log.warning("battle %s: %s", self.job.battle_id, error)
            for side in SIDES:
                self._answers[side].fail(UNAVAILABLE)
            await self._publish([ev.SideFailed(s, UNAVAILABLE) for s in SIDES])
        finally:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)

    async def _tell_waiting(self) -> None:
        told: StoredEvent | None = None
        while True:
            await asyncio.sleep(0.3)
            now = self._pool.progress(self._name)
            if now is None:
                return
            tell: StoredEvent = (
                ev.BattleQueued(now.position, now.eta_s)
                if isinstance(now, Queued)
                else ev.BattleLoading(now.fraction, now.eta_s)
            )
            if _differs(tell, told):
                told = tell
                await self._publish([tell])

    # ── both sides ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _stream(self, sides: dict[Side, tuple[Contender, SideJob]]) -> None:
        generating = [asyncio.create_task(self._generate(s, *sides[s])) for s in SIDES]
        try:
            await self._show_until_drained()
            await asyncio.gather(*generating)
        finally:
            for task in generating:
                task.cancel()
            await asyncio.gather(*generating, return_exceptions=True)

    async def _generate(self, side: Side, engine: Contender, job: SideJob) -> None:
        answer = self._answers[side]
        began = self._leased_at or self._clock()
        request = f"{self.job.battle_id}.{self.job.turn}.{self._attempt}.{side}"
        try:
            async with contextlib.aclosing(engine.generate(request, job.messages, job.sampling)) as pieces:
                async for piece in pieces:
                    now = self._clock()
                    answer.take(piece, now - began)
                    self._pacer.push(side, piece.text, now)
        except ContextOverflow:
            answer.fail(OVERFLOW)
        except PromptError as error:
            log.warning("battle %s side %s: %s", self.job.battle_id, side, type(error).__name__)
            answer.fail(INTERNAL)
        except EngineDied as error:
            log.warning("battle %s side %s: %s", self.job.battle_id, side, error)
            answer.fail(DIED)
        except Exception as error:  # noqa: BLE001 (the other side must still be told; the text may hold the prompt)
            log.error("battle %s side %s: %s", self.job.battle_id, side, type(error).__name__)
            answer.fail(INTERNAL)
        finally:
            answer.duration_s = self._clock() - began
            if answer.finish_reason is None and answer.error is None and not self._stop.asked.is_set():
                answer.fail(DIED)
            self._pacer.end(side)

    async def _show_until_drained(self) -> None:
        tick = self._settings.flush_ms / 1000
        shown: set[Side] = set()
        while self._open:
            events: list[StoredEvent] = []
            for side, text in self._pacer.take(self._clock()).items():
                if side not in shown:
                    shown.add(side)
                    events.append(ev.SideStarted(side))
                events.append(ev.SideDelta(side, text))
            for side in SIDES:
                if side in self._open and self._pacer.drained(side):
                    self._open.discard(side)
                    events.append(self._answers[side].ending(side))
            if events:
                await self._publish(events)
            if self._open:
                await asyncio.sleep(tick)

    # ── endings ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def _stopped(self) -> BattleResult:
        """After a stop: what was said stands, unfinished sides are cancelled (or given up at the deadline)."""
        if self._stop.reason == "shutdown":
            raise HandedBack
        rest: list[StoredEvent] = [ev.SideDelta(s, text) for s, text in self._pacer.flush().items()]
        for side in sorted(self._open):
            answer = self._answers[side]
            if answer.finish_reason is None:
                if self._stop.reason == "deadline":
                    self._answers[side].fail(TOO_LATE)
                else:
                    answer.finish_reason = "cancelled"
            rest.append(self._answers[side].ending(side))
        await self._publish(rest)
        return self._result()

    def _all_failed(self, error: Failure) -> BattleResult:
        for side in SIDES:
            self._answers[side].fail(error)
        return self._result()

    def _result(self) -> BattleResult:
        by = self._stop.reason if self._stop.reason in ("user", "operator") else None
        queued = (self._leased_at or self._clock()) - self._received
        sides = {s: self._answers[s].result(queued) for s in SIDES}
        return BattleResult(
            self.job.battle_id, self.job.turn, self._attempt, SideResults(sides["a"], sides["b"]), cancelled_by=by
        )

    async def _publish(self, events: list[StoredEvent]) -> None:
        """Shielded: text that has left the pacer must reach the log, and in order, even when a stop comes right now."""
        await asyncio.shield(self._publish_in_order(events))

    async def _publish_in_order(self, events: list[StoredEvent]) -> None:
        async with self._publishing:
            await channel.publish_async(self._redis, self.job.battle_id, events, self._attempt)


def _differs(tell: StoredEvent, told: StoredEvent | None) -> bool:
    """An ETA that only counts down is no news: the page counts itself."""
    if isinstance(tell, ev.BattleQueued) and isinstance(told, ev.BattleQueued):
        return tell.position != told.position
    if isinstance(tell, ev.BattleLoading) and isinstance(told, ev.BattleLoading):
        return tell.fraction != told.fraction
    return True
