"""Operators who come through the arena's Redis: the handlers of Celery's commands, called on their behalf.

Web may not speak Celery's remote control to a worker; it puts typed commands (``worker.contract.commands``) on a list
that only this worker reads. They are carried out one after the other, in a thread, as Celery's main loop would.
While somebody watches, the worker's board is told once a second.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import Any

from celery.worker.control import Panel
from redis.exceptions import RedisError

from worker.contract import commands, watch
from worker.contract.commands import Answer, Request
from worker.control.engines import engine_facts
from worker.control.inspection import battle_facts, chat_facts, operation_facts
from worker.control.memory import memory_facts
from worker.control.waiting import queue_facts
from worker.runtime import Runtime
from worker.tally import Tally

log = logging.getLogger(__name__)

LOOK_S = 1.0
OPERATIONS = 20
_NEED_CONSUMER = ("drain", "resume")


@dataclass(frozen=True, slots=True)
class Asked:
    """What Celery hands its commands as ``state``, and who asked."""

    app: Any
    hostname: str
    consumer: Any
    asked_by: str


class Served:
    """``worker``: Celery's; its consumer comes a little later than the runtime."""

    def __init__(self, worker: Any, runtime: Runtime, tally: Tally) -> None:
        self._worker = worker
        self._runtime = runtime
        self._tally = tally

    async def commands(self, redis: Any) -> None:
        """A task of the runtime's loop: take commands and answer them, until cancelled."""
        while True:
            try:
                await self._next(redis)
            except (RedisError, OSError) as error:
                log.warning("operators' commands wait for Redis: %s", type(error).__name__)
                await asyncio.sleep(LOOK_S)

    async def board(self, redis: Any) -> None:
        """A task of the runtime's loop: tell those who watch, until cancelled."""
        while True:
            try:
                if await watch.watched(redis):
                    await watch.tell_async(redis, board_of(self._runtime, self._tally))
            except (RedisError, OSError):
                log.debug("nobody can be told of this worker now")
            except Exception:
                log.exception("the operators' board could not be made")
            await asyncio.sleep(LOOK_S)

    async def _next(self, redis: Any) -> None:
        name = self._runtime.name
        try:
            taken = await commands.take(redis, name, 2 * LOOK_S)
        except commands.Malformed as error:
            unknown = {"error": "this worker does not know that command; is it older than the web side?"}
            await commands.answer(redis, error.id, Answer(name, unknown))
            return
        if taken is None:
            return
        made, request = taken
        body = await asyncio.to_thread(self.carry_out, request)
        await commands.answer(redis, made, Answer(name, body))

    def carry_out(self, request: Request) -> dict[str, Any]:
        """What Celery's command of the same name answers. Not on the runtime's loop: it goes there itself."""
        name = commands.name_of(request.command)
        consumer = getattr(self._worker, "consumer", None)
        if name in _NEED_CONSUMER and consumer is None:
            return {"error": "the worker is still starting; try again in a moment"}
        state = Asked(self._worker.app, self._runtime.name, consumer, request.by)
        body: dict[str, Any] = Panel.data[name](state, **commands.arguments_of(request.command))
        return body


def board_of(runtime: Runtime, tally: Tally) -> watch.WorkerBoard:
    """To be called on the runtime's loop."""
    return watch.WorkerBoard(
        worker=runtime.name,
        at=time.time(),
        accepting=runtime.accepting,
        engines=engine_facts(runtime),
        queue=queue_facts(runtime),
        memory=memory_facts(runtime),
        battles=battle_facts(runtime),
        chats=chat_facts(runtime),
        operations=[operation_facts(o) for o in runtime.pool.operations.list()[-OPERATIONS:]],
        throughput=tally.facts(),
    )
