"""One request of ``/v1``, from the job to the end of its log: one model, one lease, text told as it is produced.

The same engines, line and fairness as battles; none of their blindness, so nothing is paced or held back. An engine
that dies is made up for silently as long as its reader has seen nothing. Who reads may leave at any moment: then the
generation ends and the lease goes back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Callable
from typing import Any

from worker.answer import DIED, INTERNAL, OVERFLOW, PREEMPTED, TOO_LATE, Answer
from worker.answering import Tries, all_of
from worker.chat_log import Teller
from worker.contract import channel, chats
from worker.contract.chats import ChatDone, ChatFailed
from worker.contract.events import Failure
from worker.contract.jobs import ChatJob
from worker.engines import Piece
from worker.errors import ContextOverflow, EngineDied, EngineRefused, Overloaded, PromptError, Refused
from worker.leased import Taken, while_leased
from worker.pool.leases import Contender
from worker.pool.meter import Meter
from worker.pool.pool import Pool
from worker.settings import WorkerSettings
from worker.stopping import HandedBack, Stop

log = logging.getLogger(__name__)

UNAVAILABLE = Failure("load_failed", "This model could not be started. Try again later.")
OVERLOADED = Failure("overloaded", "Too many requests are waiting. Try again later.")
TOO_OFTEN = Failure("internal", "This request was interrupted too many times and was given up.")
MESSAGES_REFUSED = Failure(
    "messages_refused", "This model cannot be prompted with these roles in this order.", retryable=False
)


def _stopped_by_operator(words: str) -> Failure:
    return Failure("cancelled", f"An operator stopped this answer: {words}" if words else "An operator stopped it.")


class _Lost(Exception):  # noqa: N818
    """The answer under way is lost; ``failure`` says why, if it is not to be given again."""

    def __init__(self, failure: Failure, *, again: bool) -> None:
        super().__init__(failure.code)
        self.failure = failure
        self.again = again


class Chat:
    """``run()`` once."""

    def __init__(
        self,
        job: ChatJob,
        *,
        pool: Pool,
        redis: Any,
        settings: WorkerSettings,
        stop: Stop,
        meter: Meter | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.job = job
        self._pool = pool
        self._redis = redis
        self._stop = stop
        self._meter = meter or pool.meter
        self._clock = clock
        self._most = settings.max_attempts
        self._tries = Tries(settings.max_attempts)
        self._teller = Teller(redis, job)
        self._since: float | None = None
        """When it came into the pool's line, once it has been granted its engine."""

    async def run(self) -> None:
        """Raises HandedBack when the worker shuts down first, ChatOver when nobody waits for this answer here."""
        claimed = await chats.claim(self._redis, self.job.id)
        self._teller.begin(claimed)
        self._tries.left -= claimed.attempt - 1
        if claimed.attempt > self._most:
            await self._teller.end_now(ChatFailed(TOO_OFTEN))
        elif self._teller.told:  # by a worker that is gone, to a reader who has it already
            await self._teller.end_now(ChatFailed(DIED))
        else:
            await self._answered()

    async def _answered(self) -> None:
        if (wish := await channel.cancel_requested(self._redis, self.job.id)) is not None:
            self._stop.ask(wish.by)
        if await self._stop.cuts_short(all_of(self._attempts(), self._teller.until_ended()), self.job.deadline):
            await self._stopped()

    async def _stopped(self) -> None:
        """It is given up; whoever reads learns why, unless it was the reader who left."""
        await self._teller.settled()
        match self._stop.reason:
            case "shutdown" if not self._teller.told:
                raise HandedBack
            case "shutdown":
                await self._teller.end_now(ChatFailed(DIED))
            case "deadline":
                await self._teller.end_now(ChatFailed(TOO_LATE))
            case "operator":
                await self._teller.end_now(ChatFailed(_stopped_by_operator(self._stop.words)))

    # ── attempts ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _attempts(self) -> None:
        """Until the answer is complete or has failed; the teller has its end then."""
        while True:
            try:
                self._teller.end(await self._answer())
                return
            except _Lost as lost:
                await self._teller.settled()
                if not lost.again or self._teller.told or not self._tries.another(lost.failure):
                    self._teller.end(ChatFailed(lost.failure))
                    return
                self._teller.forget()
                if lost.failure is PREEMPTED:
                    self._since = None  # it has had its time: back to the end of the line
            except Refused as error:
                log.warning("chat %s: %s", self.job.id, error)
                self._teller.end(self._why(error))
                return

    def _why(self, error: Refused) -> ChatFailed:
        if isinstance(error, Overloaded):
            return ChatFailed(OVERLOADED, error.retry_after_s)
        return ChatFailed(DIED if self._tries.lost_to is DIED else UNAVAILABLE)

    async def _answer(self) -> ChatDone:
        model = self.job.side.model
        come = self._pool.clock()
        async with self._pool.lease(self.job.id, [model], self.job.session, self._since) as lease:
            self._since = come if self._since is None else self._since
            contender = lease.contenders[model]
            try:
                return await while_leased(lease, self._generate(contender), lambda: not contender.engine.alive)
            except Taken as taken:
                raise _Lost(taken.failure, again=True) from None

    async def _generate(self, contender: Contender) -> ChatDone:
        began = self._clock()
        answer = Answer()
        ended = "failed"
        try:
            async with contextlib.aclosing(self._pieces(contender)) as pieces:
                async for piece in pieces:
                    first = answer.first_token_s
                    answer.take(piece, self._clock() - began)
                    self._teller.feed(piece.text)
                    if first is None and answer.first_token_s is not None:
                        self._meter.first_token(contender.spec.id, answer.first_token_s)
            if answer.finish_reason not in ("stop", "length"):
                raise EngineDied(contender.spec.id, "its answer stopped without an end")
            ended = answer.finish_reason
            return ChatDone(answer.finish_reason, answer.prompt_tokens, answer.completion_tokens)
        except asyncio.CancelledError:
            ended = "cancelled"
            raise
        except Exception as error:  # noqa: BLE001 (the reader must be told; the text may hold the prompt)
            raise self._lost(contender, error) from None
        finally:
            self._meter.answered(contender.spec.id, answer.completion_tokens, self._clock() - began, ended)

    def _pieces(self, contender: Contender) -> AsyncGenerator[Piece, None]:
        side = self.job.side
        request = f"{self.job.id}.{self._teller.attempt}.{self._tries.left}"
        return contender.generate(request, side.messages, side.sampling)

    def _lost(self, contender: Contender, error: Exception) -> _Lost:
        who = f"chat {self.job.id}"
        if isinstance(error, ContextOverflow):
            return _Lost(OVERFLOW, again=False)
        if isinstance(error, EngineDied) or not contender.engine.alive:
            log.warning("%s: %s died while answering", who, contender.spec.id)
            return _Lost(DIED, again=True)
        if isinstance(error, EngineRefused):
            log.warning("%s: %s", who, error)
            return _Lost(DIED, again=False)
        if isinstance(error, PromptError):
            return _Lost(MESSAGES_REFUSED, again=False)
        log.error("%s: %s", who, type(error).__name__)
        return _Lost(INTERNAL, again=False)
