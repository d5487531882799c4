"""What a chat's reader is told, on its way to the log: in order, once, and without waiting for more than the last call.

Text is not collected by a clock: what comes while one call to Redis is under way goes with the next, so a quiet arena
tells every token by itself and a busy one tells more at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from worker.contract import chats
from worker.contract.chats import ChatDelta, ChatDone, ChatEvent, ChatFailed, Claimed
from worker.contract.jobs import ChatJob


class Teller:
    """One attempt's voice. Any method that publishes may raise ChatOver."""

    def __init__(self, redis: Any, job: ChatJob) -> None:
        self.attempt = 0
        self._redis = redis
        self._chat = job.id
        self._stream = job.stream
        self._seq = 0
        self._text: list[str] = []
        self._ending: ChatDone | ChatFailed | None = None
        self._stirred = asyncio.Event()
        self._publishing = asyncio.Lock()

    @property
    def told(self) -> bool:
        """The reader has some of the answer: it can no longer be begun anew silently."""
        return self._seq > 0

    def begin(self, claimed: Claimed) -> None:
        """Speak for this attempt, behind what earlier ones have told."""
        self.attempt, self._seq = claimed.attempt, claimed.seq

    def feed(self, text: str) -> None:
        """More of the answer."""
        if text:
            self._text.append(text)
            if self._stream:
                self._stirred.set()

    def forget(self) -> None:
        """The answer is begun anew; only while nothing is ``told``."""
        self._text.clear()

    def end(self, ending: ChatDone | ChatFailed) -> None:
        """The answer has ended; :meth:`until_ended` tells what is left of it, and how."""
        self._ending = ending
        self._stirred.set()

    async def until_ended(self) -> None:
        """Tell the answer until its end has been told."""
        over = False
        while not over:
            await self._stirred.wait()
            self._stirred.clear()
            over = await asyncio.shield(self._flush())

    async def end_now(self, ending: ChatFailed) -> None:
        """After what is being told already; text that waits is dropped."""
        async with self._publishing:
            await self._publish([ending])

    async def settled(self) -> None:
        """Until nothing is being told."""
        async with self._publishing:
            pass

    async def _flush(self) -> bool:
        """Whether that was the end."""
        async with self._publishing:
            text, ending = "".join(self._text), self._ending
            if isinstance(ending, ChatFailed) and not self._stream:
                text = ""  # half an answer is none to a reader who waits for the whole
            self._text.clear()
            events: list[ChatEvent] = [ChatDelta(text)] if text else []
            if ending is not None:
                events.append(ending)
            if events:
                await self._publish(events)
            return ending is not None

    async def _publish(self, events: Sequence[ChatEvent]) -> None:
        self._seq = await chats.publish(self._redis, self._chat, events, self.attempt, self._seq)
