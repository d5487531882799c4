"""What the broker knows of a task: kombu's Redis keys, read where waiting for kombu would take a quarter of an hour.

kombu keeps a message that was handed out in a hash until it is acknowledged, and gives a dead worker's messages to
others only after the visibility timeout. We learn of a death within seconds and act on it ourselves.

======================  =========================================================================================
``<queue>``                  list of messages waiting; further lists for priorities, ``<queue>\\x06\\x16<priority>``
``unacked``                  hash ``tag -> [message, exchange, routing key]`` of messages handed out
``unacked_index``            sorted set ``tag -> when``
======================  =========================================================================================
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

_PRIORITIES = ("", "\x06\x163", "\x06\x166", "\x06\x169")
UNACKED = "unacked"
"""The key of the queue ``battles``; that of ``records`` has its own name (see ``web.queue``)."""


class _Headers(msgspec.Struct, frozen=True):
    id: str = ""


class _Message(msgspec.Struct, frozen=True):
    headers: _Headers = _Headers()


def waiting(redis: Any, queue: str) -> set[str]:
    """Ids of the tasks that wait in ``queue``, whatever their priority."""
    with redis.pipeline(transaction=True) as pipe:
        for suffix in _PRIORITIES:
            pipe.lrange(queue + suffix, 0, -1)
        return {_task_id(raw) for messages in pipe.execute() for raw in messages}


def forget(redis: Any, tasks: Collection[str], unacked: str = UNACKED) -> int:
    """Drop messages of ``tasks`` that were handed out and never acknowledged; how many. They will not come again."""
    tags = [tag for tag, raw in redis.hscan_iter(unacked) if _task_id(_handed_out(raw)[0]) in tasks]
    if tags:
        with redis.pipeline(transaction=True) as pipe:
            pipe.hdel(unacked, *tags)
            pipe.zrem(f"{unacked}_index", *tags)
            pipe.execute()
    return len(tags)


def restore(redis: Any, unacked: str) -> int:
    """Put all messages that were handed out and never acknowledged back to the front of their queues; how many.

    For a queue whose tasks may run twice, when its consumer begins: whoever had them is gone, or has them still.
    """
    count = 0
    for tag, raw in redis.hscan_iter(unacked):
        message, queue = _handed_out(raw)
        with redis.pipeline(transaction=True) as pipe:
            pipe.hdel(unacked, tag)
            pipe.zrem(f"{unacked}_index", tag)
            pipe.rpush(queue, message)
            count += pipe.execute()[0]
    return count


def _handed_out(raw: bytes) -> tuple[bytes, str]:
    message, _, routing_key = msgspec.json.decode(raw, type=tuple[msgspec.Raw, Any, Any])
    return bytes(message), str(routing_key)


def _task_id(message: bytes) -> str:
    return msgspec.json.decode(message, type=_Message).headers.id
