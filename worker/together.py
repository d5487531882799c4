"""Lua calls of one moment go to Redis in one round trip.

An engine's step gives every battle on it its next token at the same moment. Each battle appends to a log of its own,
and one by one those calls cost the loop, Redis and whoever listens more than the tokens themselves.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from redis.exceptions import NoScriptError


@dataclass(frozen=True, slots=True)
class _Call:
    script: str
    sha: str
    keys: Sequence[Any]
    args: Sequence[Any]
    answer: asyncio.Future[Any]

    @property
    def rest(self) -> tuple[Any, ...]:
        return (len(self.keys), *self.keys, *self.args)


class Together:
    """A ``redis.asyncio`` client whose scripts, called in the same turn of the loop, are sent together.

    Everything else is the client's own. A call's failure is its caller's alone; a connection's is everybody's.
    """

    def __init__(self, redis: Any) -> None:
        self._redis = redis
        self._waiting: list[_Call] = []
        self._sending: set[asyncio.Task[None]] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._redis, name)

    def register_script(self, script: str) -> Callable[..., Awaitable[Any]]:
        """As the client's: to be awaited with ``keys`` and ``args``."""
        sha = hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()  # by which Redis knows it

        async def call(keys: Sequence[Any] = (), args: Sequence[Any] = ()) -> Any:
            loop = asyncio.get_running_loop()
            made = _Call(script, sha, keys, args, loop.create_future())
            self._waiting.append(made)
            if len(self._waiting) == 1:
                loop.call_soon(self._send)
            return await made.answer

        return call

    def _send(self) -> None:
        calls, self._waiting = self._waiting, []
        sending = asyncio.ensure_future(self._run(calls))
        self._sending.add(sending)
        sending.add_done_callback(self._sending.discard)

    async def _run(self, calls: list[_Call]) -> None:
        try:
            answers = await self._asked(calls)
        except BaseException as error:
            for call in calls:
                if not call.answer.done():
                    call.answer.set_exception(error) if isinstance(error, Exception) else call.answer.cancel()
            if not isinstance(error, Exception):
                raise
            return
        for call, answer in zip(calls, answers, strict=True):
            if call.answer.done():  # its caller has been cancelled
                continue
            if isinstance(answer, Exception):
                call.answer.set_exception(answer)
            else:
                call.answer.set_result(answer)

    async def _asked(self, calls: list[_Call]) -> list[Any]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for call in calls:
                pipe.evalsha(call.sha, *call.rest)
            answers: list[Any] = await pipe.execute(raise_on_error=False)
        unknown = [n for n, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if unknown:  # a server that was started anew has forgotten all scripts
            async with self._redis.pipeline(transaction=False) as pipe:
                for n in unknown:
                    pipe.eval(calls[n].script, *calls[n].rest)
                for n, answer in zip(unknown, await pipe.execute(raise_on_error=False), strict=True):
                    answers[n] = answer
        return answers
