"""What followers of one battle see: paced text, how each side ended, and new attempts, in one order on its log.

Nothing that has left the pacer may be lost to a cancel: what is taken out is published whatever happens meanwhile. Nor
to a log that comes back shorter than it was: what this attempt has told is remembered, and told again from the start.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any

from worker.answer import Answer
from worker.contract import channel
from worker.contract import events as ev
from worker.contract.events import SIDES, Failure, Side, StoredEvent
from worker.contract.jobs import BattleJob, BattleResult, SideJob, encode_result
from worker.contract.view import merge_deltas
from worker.engines import Piece
from worker.pacing import Pacer
from worker.settings import WorkerSettings


class Showing:
    """Both answers of a battle's turn and their way to the page. Any method that publishes may raise StaleAttempt."""

    def __init__(
        self, job: BattleJob, redis: Any, settings: WorkerSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.attempt = 0
        self.answers: dict[Side, Answer] = {s: _begun(_side(job, s)) for s in SIDES}
        self.shown = False
        """Some text of this attempt has been on a page: it can no longer be taken back silently."""
        self.settled = asyncio.Event()
        """Something has been shown, or nothing will be: who waits for this battle need not be told of its wait."""
        self._job = job
        self._told: list[StoredEvent] = []
        self._seq = 0
        self._redis = redis
        self._settings = settings
        self._clock = clock
        self._open: set[Side] = set(self.unfinished)
        self._started: set[Side] = set()
        self._pacer = self._new_pacer()
        self._stirred = asyncio.Event()
        self._first = asyncio.Event()
        """A side of which nothing has been shown has text: it does not wait for the next tick."""
        self._publishing = asyncio.Lock()

    def _new_pacer(self) -> Pacer:
        s = self._settings
        pacer = Pacer(tick_s=s.flush_ms / 1000, cap_s=s.pace_cap_s, tail_s=s.pace_tail_s, enabled=s.pace)
        for side in self._standing:
            pacer.end(side)
        return pacer

    @property
    def _standing(self) -> list[Side]:
        return [s for s in SIDES if self.answers[s].stands is not None]

    @property
    def unfinished(self) -> list[Side]:
        """Sides whose answers have not ended."""
        return [s for s in SIDES if not self.answers[s].ended]

    # ── what is being said ───────────────────────────────────────────────────────────────────────────────────────

    def feed(self, side: Side, piece: Piece, at: float) -> None:
        """A piece of a side's answer, ``at`` seconds after its lease."""
        self.answers[side].take(piece, at)
        self._pacer.push(side, piece.text, self._clock())
        self._stirred.set()
        if piece.text and side not in self._started:
            self._first.set()

    def end(self, side: Side) -> None:
        """Its answer has ended."""
        self._pacer.end(side)
        self._stirred.set()

    def one_by_one(self) -> None:
        """The sides are answered in turn: show neither before both have text."""
        self._pacer.one_by_one()

    def forget(self, side: Side) -> None:
        """The side is answered anew and nobody learns of it; only while nothing is ``shown``."""
        self.answers[side] = Answer()
        self._pacer.forget(side)

    # ── what is shown ────────────────────────────────────────────────────────────────────────────────────────────

    async def until_drained(self) -> None:
        """Show both sides until each has ended and all it said is out."""
        tick = self._settings.flush_ms / 1000
        while self._open:
            await self._stirred.wait()
            if self._pacer.resting:
                self._stirred.clear()
            self._first.clear()
            events = self._due()
            if events:
                await self.publish(events)
            if self._open and not self._pacer.resting:
                await self._tick(tick)

    async def _tick(self, seconds: float) -> None:
        """So long, or until a side has its first text."""
        if len(self._started) == len(SIDES):
            await asyncio.sleep(seconds)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._first.wait()

    def _due(self) -> list[StoredEvent]:
        events: list[StoredEvent] = []
        for side, text in self._pacer.take(self._clock()).items():
            if side not in self._started:
                self._started.add(side)
                events.append(ev.SideStarted(side))
            events.append(ev.SideDelta(side, text))
            self.shown = True
        for side in SIDES:
            if side in self._open and self._pacer.drained(side):
                self._open.discard(side)
                events.append(self.answers[side].ending(side))
        if self.shown or not self._open:
            self.settled.set()
        return events

    def refuse(self) -> None:
        """Nothing that was said counts, because the turn cannot be answered; only while nothing is ``shown``."""
        for side in SIDES:
            if self.answers[side].stands is None:
                self.answers[side] = Answer()
                self._open.add(side)
        self._pacer = self._new_pacer()

    async def end_now(self, failure: Failure | None) -> None:
        """What was said stands and is shown; sides still being answered fail with ``failure``, else are cancelled."""
        rest: list[StoredEvent] = [ev.SideDelta(s, text) for s, text in self._pacer.flush().items()]
        for side in self.unfinished:
            if failure is not None:
                self.answers[side].fail(failure)
            else:
                self.answers[side].finish_reason = "cancelled"
        rest += [self.answers[s].ending(s) for s in SIDES if s in self._open]
        self._open.clear()
        self.settled.set()
        await self.publish(rest)

    # ── attempts ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def claim(self) -> int:
        """Begin the first attempt here; followers are told when the turn has had one before."""
        await asyncio.shield(self._claim())
        return self.attempt

    async def restart(self) -> None:
        """Begin the next attempt: pages forget what was shown. An answer that had ended stands and is shown anew."""
        for side in self.unfinished:
            self.answers[side] = Answer()
        self.shown = False
        self.settled.clear()
        self._open = set(SIDES) - set(self._standing)
        self._started = set()
        self._pacer = self._new_pacer()
        for side in SIDES:
            if side in self._open and self.answers[side].ended:
                self._pacer.one_by_one()
                self._pacer.push(side, self.answers[side].said, self._clock())
                self.end(side)
        await asyncio.shield(self._claim())

    async def _claim(self) -> None:
        job = self._job
        async with self._publishing:
            if self.attempt:  # a claim by one that is stale already would fence off its successor
                await self._append([])
            known = max(self.attempt, job.attempts)
            self.attempt = await channel.claim_attempt(self._redis, job.battle_id, job.turn, known, job.retry)
            self._told = []
            if self.tries > 1:
                await self._append([ev.BattleRestarted(self.attempt), *self._stood()])

    @property
    def tries(self) -> int:
        """How many attempts this turn (its retry) has had, with the one that is under way."""
        return self.attempt - self._job.before

    def _stood(self) -> list[StoredEvent]:
        """What a restart makes pages forget of a side that is not answered again."""
        events: list[StoredEvent] = []
        for side in self._standing:
            answer = self.answers[side]
            events += [*([ev.SideDelta(side, answer.said)] if answer.said else []), answer.ending(side)]
        return events

    async def publish(self, events: Sequence[StoredEvent]) -> None:
        """After everything that is being published already; with no events it only waits for that."""
        await asyncio.shield(self._publish(events))

    async def _publish(self, events: Sequence[StoredEvent]) -> None:
        async with self._publishing:
            await self._append(events)

    async def keep(self, result: BattleResult) -> None:
        """From here on the turn is answered: whoever is given its job again finds ``result``."""
        async with self._publishing:
            await self._append([], encode_result(result))

    async def _append(self, events: Sequence[StoredEvent], result: bytes = b"") -> None:
        job, log = self._job, (self._redis, self._job.battle_id)
        self._told += events
        try:
            self._seq = await channel.publish_async(
                *log, events, self.attempt, turn=job.turn, retry=job.retry, after=self._seq, result=result
            )
        except channel.LogLost:
            again = merge_deltas([_beginning(job), *self._told])
            self._seq = await channel.publish_async(
                *log, again, self.attempt, turn=job.turn, retry=job.retry, fresh=True, result=result
            )


def _side(job: BattleJob, side: Side) -> SideJob:
    found: SideJob = getattr(job.sides, side)
    return found


def _begun(job: SideJob) -> Answer:
    return Answer() if job.answered is None else Answer.standing(job.answered)


def _beginning(job: BattleJob) -> StoredEvent:
    if job.retry:
        tried = tuple(s for s in SIDES if _side(job, s).answered is None)
        return ev.TurnRetried(job.turn, job.retry, tried)
    return ev.TurnStarted(job.turn, job.sides.a.messages[-1].content)
