"""Gets a battle's answers out of the engines: leases them, generates, and begins anew what an engine took with it.

As long as nothing of a battle has been shown, nobody need know that an engine died under it: its lease goes back, the
pool brings the engine up again, and the sides that had not ended are answered anew. Two models that do not fit into
memory together are leased one after the other, as independent jobs, so that the pool can serve the sides of all battles
that want an engine while it is there. An answer that has ended stands whatever happens to the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from typing import Any

from worker.answer import DIED, INTERNAL, OVERFLOW, PREEMPTED
from worker.contract import logs, tracing
from worker.contract.events import SIDES, Failure, Side
from worker.contract.jobs import BattleJob, SideJob
from worker.engines import Piece
from worker.errors import ContextOverflow, EngineDied, EngineRefused, NotTogether, PromptError
from worker.leased import Taken, while_leased
from worker.pool.leases import Contender, Lease
from worker.pool.meter import Meter
from worker.pool.pool import Pool
from worker.showing import Showing

log = logging.getLogger(__name__)


class Interrupted(Exception):  # noqa: N818
    """The answers under way are lost. ``failure`` says why, if they are not to be given again."""

    def __init__(self, failure: Failure, *, restart: bool) -> None:
        super().__init__(failure.code)
        self.failure = failure
        self.restart = restart
        """Whether they may be given again although some of them has been shown."""


class Tries:
    """How often answers may still be begun; every attempt of the battle counts, and so does every silent one."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.lost_to: Failure | None = None
        """What ended the last one."""

    @property
    def last(self) -> bool:
        return self.left <= 1

    def another(self, lost_to: Failure) -> bool:
        """Spend one; False when this was the last."""
        if self.last:
            return False
        self.left -= 1
        self.lost_to = lost_to
        return True


def apart(name: str, side: Side) -> str:
    """What one side of the battle ``name`` is called in the pool's line, when its sides are answered in turn."""
    return f"{name}.{side}"


def together(job: str) -> str:
    """The name of the battle that a job in the pool's line belongs to: itself, or what :func:`apart` began with."""
    name, _, side = job.rpartition(".")
    return name if side in SIDES else job


class Answering:
    """Answers both sides into ``showing``. ``on_leased`` is awaited whenever engines have been leased."""

    def __init__(
        self,
        job: BattleJob,
        *,
        pool: Pool,
        showing: Showing,
        tries: Tries,
        meter: Meter,
        on_leased: Callable[[], Awaitable[None]],
        clock: Callable[[], float] = time.monotonic,
        coin: Callable[[], float] = random.random,
    ) -> None:
        name = job.task
        self.names = (name, *(apart(name, side) for side in SIDES))
        """Under which this battle may be in the pool's line: both sides together, or one of them."""
        self._job = job
        self._pool = pool
        self._showing = showing
        self._tries = tries
        self._meter = meter
        self._on_leased = on_leased
        self._clock = clock
        self._coin = coin
        self._received = clock()
        self._since: float | None = None
        """When this battle came into the pool's line, once it has been granted its engines."""

    async def until_answered(self) -> None:
        """Every side has ended. Raises Interrupted, and the pool's refusals except NotTogether."""
        sides = self._showing.unfinished
        if len(sides) == 2 or self._stands:
            try:
                await self._answer_sides(self.names[0], sides)
                return
            except NotTogether:
                self._showing.one_by_one()
        await all_of(*(self._answer_sides(apart(self.names[0], s), [s]) for s in self._in_turn()))

    @property
    def _stands(self) -> bool:
        """One side is not to be answered: its engine is leased all the same, or the wait would tell of the other's."""
        return any(answer.stands is not None for answer in self._showing.answers.values())

    def _in_turn(self) -> list[Side]:
        """What is in memory first, so that no switch is wasted; else a coin decides, so that order tells nothing."""
        sides = self._showing.unfinished
        if self._coin() < 0.5:
            sides.reverse()
        return sorted(sides, key=lambda s: not self._in_memory(self._side(s).model))

    def _in_memory(self, model: str) -> bool:
        slot = self._pool.slots.of(model)
        return slot is not None and slot.view.usable

    def _side(self, side: Side) -> SideJob:
        found: SideJob = getattr(self._job.sides, side)
        return found

    # ── one lease, and what may happen to it ─────────────────────────────────────────────────────────────────────

    async def _answer_sides(self, name: str, sides: Sequence[Side]) -> None:
        """Lease all of ``sides`` together and answer them; again and again while nobody has seen anything of it."""
        while True:
            try:
                together = self._stands and name == self.names[0]
                models = [self._side(s).model for s in (SIDES if together else sides)]
                come = self._pool.clock()
                async with self._pool.lease(name, models, self._job.session, self._since) as lease:
                    self._since = come if self._since is None else self._since
                    await self._on_leased()
                    await self._answer_under(lease, sides)
                return
            except Interrupted as lost:
                if lost.failure is PREEMPTED:
                    self._since = None  # it has had its time: back to the end of the line
                sides = self._still(sides)
                if not sides:
                    return
                if lost.failure is OVERFLOW or self._showing.shown or not self._tries.another(lost.failure):
                    raise
                for side in sides:
                    self._showing.forget(side)

    async def _answer_under(self, lease: Lease, sides: Sequence[Side]) -> None:
        contenders = {s: lease.contenders[self._side(s).model] for s in sides}
        answers = all_of(*(self._one(s, contenders[s]) for s in sides))
        try:
            await while_leased(lease, answers, lambda: any(not contenders[s].engine.alive for s in self._still(sides)))
        except Taken as taken:
            raise Interrupted(taken.failure, restart=taken.failure is DIED) from None

    def _still(self, sides: Sequence[Side]) -> list[Side]:
        return [s for s in sides if s in self._showing.unfinished]

    # ── one side ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _one(self, side: Side, contender: Contender) -> None:
        with logs.bound(side=side), tracing.span("answer", side=side, attempt=self._showing.attempt):
            await self._generate(side, contender)

    async def _generate(self, side: Side, contender: Contender) -> None:
        """Raises Interrupted when the engine died and the side may be answered again; other failures are its ending."""
        began = self._clock()
        answer = self._showing.answers[side]
        answer.queued_s = began - self._received
        ended = "failed"
        try:
            async with contextlib.aclosing(self._pieces(side, contender)) as pieces:
                async for piece in pieces:
                    first = answer.first_token_s
                    self._showing.feed(side, piece, self._clock() - began)
                    if first is None and answer.first_token_s is not None:
                        self._meter.first_token(contender.spec.id, answer.first_token_s)
            if not answer.ended:
                raise EngineDied(contender.spec.id, "its answer stopped without an end")
        except Exception as error:  # noqa: BLE001 (the other side must still be told; the text may hold the prompt)
            if not answer.ended:
                self._failed(side, contender, error)
        except asyncio.CancelledError:
            ended = "cancelled"
            raise
        finally:
            answer.duration_s = self._clock() - began
            ended = answer.finish_reason or ended
            self._meter.answered(contender.spec.id, answer.completion_tokens, answer.duration_s, ended)
            if answer.ended:
                self._showing.end(side)

    def _pieces(self, side: Side, contender: Contender) -> AsyncGenerator[Piece, None]:
        job = self._side(side)
        request = f"{self.names[0]}.{self._showing.attempt}.{side}.{self._tries.left}"
        return contender.generate(request, job.messages, job.sampling)

    def _failed(self, side: Side, contender: Contender, error: Exception) -> None:
        answer = self._showing.answers[side]
        who = f"battle {self._job.battle_id} side {side}"
        if isinstance(error, ContextOverflow):
            if not self._showing.shown:  # for both alike: that only one has too little room would tell of its kind
                raise Interrupted(OVERFLOW, restart=False) from error
            answer.fail(OVERFLOW)
        elif isinstance(error, EngineDied) or not contender.engine.alive:
            log.warning("%s: %s died while answering", who, contender.spec.id)
            if not self._tries.last:
                if not self._showing.shown:
                    self._showing.forget(side)
                raise Interrupted(DIED, restart=True) from error
            answer.fail(DIED)
        elif isinstance(error, EngineRefused):
            log.warning("%s: %s", who, error)
            answer.fail(DIED)  # in other words than a dead engine's, it would tell an endpoint elsewhere from one here
        else:
            kind = log.warning if isinstance(error, PromptError) else log.error
            kind("%s: %s", who, type(error).__name__)
            answer.fail(INTERNAL)


async def all_of(*work: Coroutine[Any, Any, None]) -> None:
    """Run all of it; the first error ends the rest and is raised as it is."""
    tasks = [asyncio.create_task(w) for w in work]
    if not tasks:
        return
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
