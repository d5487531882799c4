"""The chats this process waits for: what workers tell, whether their callers still listen, and jobs that were lost.

A chat is in no database, so whoever waits for it looks after it: a job that is in no worker's hands and not in the line
either is sent again while its caller has seen nothing of the answer, and is over otherwise. A caller who hangs up is
noticed while nothing is written, too, and so is that the key it was asked with has been revoked: then the worker is
told to stop.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from redis.exceptions import RedisError

from web.context import Arena
from web.errors import BadKey
from web.live.house import House
from web.live.hub import Announced, Hub
from web.openai.caller import Caller
from web.records import broker
from worker.contract import channel, chats, holding, residency
from worker.contract.chats import ENDINGS, ChatDelta, ChatEvent, ChatFailed
from worker.contract.events import Failure
from worker.contract.jobs import ChatJob, models_of
from worker.contract.residency import Residency

log = logging.getLogger(__name__)

LISTEN_S = 0.2
"""How often a caller is asked whether it is still there."""
LOOK_S = 1.0
"""How often all of this process's jobs are looked for, once they are not young any more."""
YOUNG_S = 4.0
LOST_S = 1.5
"""So long, and so at two looks, a job must be nowhere (see web.records.reconciler)."""
OVERDUE_S = 5.0
"""A worker says itself that the deadline has passed; after this long without its word nobody else will."""
BLOCKED_S = 10.0
"""A stream whose reader takes nothing for this long is broken off."""

_INTERRUPTED = Failure("engine_failed", "The answer was interrupted. Try again.")
_TOO_LATE = Failure("deadline_exceeded", "The answer took too long and was given up.")


class CallerGone(Exception):  # noqa: N818 - named for what happened
    """Whoever asked has hung up."""


class Calls:
    """One Redis subscriber for all chats of this process. Nothing runs before the first. Thread-safe."""

    def __init__(self, arena: Arena, house: House) -> None:
        """``house``: whose reactor gives the chats their seconds, and who hears of revoked keys."""
        self._arena = arena
        self._reactor = house.reactor
        self._revoked = house.revoked
        self._lock = threading.Lock()
        self._looking = threading.Lock()
        self._open: set[Call] = set()
        self._seen: set[str] = set()
        self._seen_at = float("-inf")
        self.hub = Hub(arena.settings.redis_url, chats.channel_key)
        self._reactor.every_second(self._tick)

    def open(self, job: ChatJob, caller: Caller, reports: Sequence[Residency]) -> Call:
        """Put ``job`` in line where the ``reports`` say it starts soonest, and listen.

        Raises RedisError, QueueError.
        """
        self._reactor.start()
        call = Call(self._arena, self, job, caller)
        with self._lock:
            self._open.add(call)
        try:
            if caller.key is not None:
                self._revoked.hold(caller.key, call)
            self.hub.follow(job.id, call)
            self.send(job, reports)
        except BaseException:
            call.close()
            raise
        return call

    def send(self, job: ChatJob, reports: Sequence[Residency]) -> None:
        """To a worker; once more, if it was lost. Raises QueueError."""
        self._arena.queue.run_chat(job, self._arena.placer.place(reports, models_of(job)))

    def leave(self, call: Call) -> None:
        """It needs nothing any more."""
        self.hub.leave(call.job.id, call)
        if call.caller.key is not None:
            self._revoked.let_go(call.caller.key, call)
        with self._lock:
            self._open.discard(call)

    def somewhere(self, chat: str) -> bool:
        """Whether a worker has this job or the line does; what is known of all of them is at most a look old."""
        with self._looking:
            if time.monotonic() - self._seen_at >= LOOK_S:
                redis = self._arena.redis
                self._seen = broker.in_line(redis) | holding.read(redis)  # in the order a job moves
                self._seen_at = time.monotonic()
            return chat in self._seen

    def _tick(self) -> None:
        self.hub.tick()
        with self._lock:
            calls = list(self._open)
        for call in calls:
            call.tick()


class Call:
    """One chat under way, for one greenlet (or thread) that reads it."""

    def __init__(
        self,
        arena: Arena,
        calls: Calls,
        job: ChatJob,
        caller: Caller,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.job = job
        self.caller = caller
        self._arena = arena
        self._calls = calls
        self._clock = clock
        self._bell = threading.Event()
        self._heard: deque[Announced] = deque()
        self._behind = False
        self._epoch = ""
        self._seq = 0
        self._text = self._shut_out = False
        self._ended = self._closed = False
        self._young_until = clock() + YOUNG_S
        self._missing: float | None = None
        self.writing_since: float | None = None
        """When the piece that is being written to the caller began to be, while one is."""

    # ── what the hub tells ───────────────────────────────────────────────────────────────────────────────────────

    def subscribed(self) -> None:
        self._behind = True
        self._bell.set()

    def announced(self, told: Announced) -> None:
        self._heard.append(told)
        self._bell.set()

    def revoked(self) -> None:
        """The key it was asked with opens nothing any more."""
        self._shut_out = True
        self._bell.set()

    # ── what the reader asks ─────────────────────────────────────────────────────────────────────────────────────

    def next(self, limit_s: float = float("inf")) -> list[ChatEvent]:
        """What came since the last time, at least one event; none after ``limit_s`` of silence.

        The last is a ChatDone or ChatFailed. Raises CallerGone, BadKey once the caller's was revoked, and RedisError
        when the log cannot be read.
        """
        until = self._clock() + limit_s
        while True:
            self._bell.clear()
            if self._shut_out:
                raise BadKey
            if events := self._new() or self._given_up():
                self._ended = isinstance(events[-1], ENDINGS)
                return events
            if self.caller.gone():
                raise CallerGone
            left = until - self._clock()
            if left <= 0:
                return []
            self._bell.wait(min(LISTEN_S, left))

    def close(self) -> None:
        """Let go of it, at any moment; an answer under way ends, and what its log holds is gone."""
        if self._closed:
            return
        self._closed = True
        self._calls.leave(self)
        try:
            if not self._ended:
                channel.request_cancel(self._arena.redis, self.job.id, "user")
            chats.close(self._arena.redis, self.job.id)
        except RedisError as error:
            log.warning("chat %s: its log is left to expire: %s", self.job.id, type(error).__name__)

    def tick(self) -> None:
        """About once a second, from another thread: an end to a reader that takes nothing."""
        since = self.writing_since
        if since is not None and self._clock() - since > BLOCKED_S:
            self.caller.hang_up()

    # ── the log ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _new(self) -> list[ChatEvent]:
        events: list[ChatEvent] = []
        while self._heard and not self._behind:
            told = self._heard.popleft()
            if told.epoch != self._epoch or told.seq > self._seq + 1:
                self._behind = True
            elif told.seq == self._seq + 1:
                events.append(self._take(told.seq, told.raw))
        if not self._behind:
            return events
        self._behind = False
        epoch, entries = chats.read(self._arena.redis, self.job.id, self._seq)
        if self._epoch and epoch != self._epoch:
            return [*events, *self._lost()]
        self._epoch = epoch
        return [*events, *(self._take(seq, raw) for seq, raw in entries)]

    def _take(self, seq: int, raw: bytes) -> ChatEvent:
        self._seq = seq
        event = chats.decode(raw)
        self._text = self._text or isinstance(event, ChatDelta)
        return event

    # ── who looks after it ───────────────────────────────────────────────────────────────────────────────────────

    def _given_up(self) -> list[ChatEvent]:
        """Its end, where there is nobody else to tell it."""
        now = self._clock()
        if time.time() > self.job.deadline + OVERDUE_S:
            return [ChatFailed(_TOO_LATE)]
        if now < self._young_until or self._calls.somewhere(self.job.id):
            self._missing = None
        elif self._missing is None:
            self._missing = now
        elif now - self._missing >= LOST_S:
            self._missing = None
            return self._new_from_log() or self._lost()
        return []

    def _new_from_log(self) -> list[ChatEvent]:
        """What was told while its worker gave it out of its hands."""
        self._behind = True
        return self._new()

    def _lost(self) -> list[ChatEvent]:
        """Begin it anew, unnoticed, while its caller has nothing of it."""
        if self._text:
            return [ChatFailed(_INTERRUPTED)]
        log.warning("chat %s was lost; it is put in line again", self.job.id)
        self._epoch, self._seq = "", 0
        self._behind = True
        self._young_until = self._clock() + YOUNG_S
        broker.forget(self._arena.redis, {self.job.id})
        self._calls.send(self.job, residency.read(self._arena.redis))
        return []
