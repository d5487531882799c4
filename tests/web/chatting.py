"""A worker for chats that says what the test tells it: real jobs from the real queue, real logs, no engines."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import redis
import redis.asyncio

from worker.contract import chats
from worker.contract.chats import ChatDelta, ChatDone, ChatEvent, ChatOver
from worker.contract.jobs import QUEUE_BATTLES, ChatJob, decode_chat

Script = Callable[[ChatJob], Sequence[ChatEvent]]
ANSWER: tuple[ChatEvent, ...] = (ChatDelta("Hello "), ChatDelta("there."), ChatDone("stop", 3, 2))


def taken(client: redis.Redis, timeout: float = 5.0) -> ChatJob | None:
    """The next job of the queue; none after ``timeout`` seconds, or when somebody unblocks the client."""
    found: Any = client.brpop([QUEUE_BATTLES], timeout=timeout)
    if found is None:
        return None
    message = json.loads(found[1])
    (job,), _, _ = json.loads(base64.b64decode(message["body"]))
    return decode_chat(job)


def tell(redis_url: str, chat: str, events: Sequence[ChatEvent]) -> None:
    """As one attempt does."""

    async def say() -> None:
        async with redis.asyncio.Redis.from_url(redis_url) as client:
            claimed = await chats.claim(client, chat)
            seq = claimed.seq
            for event in events:
                seq = await chats.publish(client, chat, [event], claimed.attempt, seq)

    asyncio.run(say())


@contextmanager
def scripted(redis_url: str, script: Script = lambda _: ANSWER) -> Iterator[list[ChatJob]]:
    """Answers every job by ``script`` until the block ends; the jobs it took, in order."""
    jobs: list[ChatJob] = []
    over = threading.Event()
    client = redis.Redis.from_url(redis_url, single_connection_client=True)
    name = client.client_id()

    def work() -> None:
        with client:
            while not over.is_set():
                if (job := taken(client)) is not None:
                    jobs.append(job)
                    with suppress(ChatOver):  # who asked has had enough
                        tell(redis_url, job.id, script(job))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield jobs
    finally:
        over.set()
        with redis.Redis.from_url(redis_url) as other:
            while thread.is_alive():
                other.client_unblock(name)
                thread.join(0.02)
