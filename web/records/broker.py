"""What the broker knows of a task: kombu's Redis keys, read where waiting for kombu would take a quarter of an hour.

kombu keeps a message that was handed out in a hash until it is acknowledged, and gives a dead worker's messages to
others only after the visibility timeout. We learn of a death within seconds and act on it ourselves.

======================  =========================================================================================
``<queue>``                  list of messages waiting, newest first; further ones, ``<queue>\\x06\\x16<priority>``
``unacked``                  hash ``tag -> [message, exchange, routing key]`` of messages handed out
``unacked_index``            sorted set ``tag -> when``
======================  =========================================================================================
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection
from typing import Any

import msgspec

from worker.contract import residency
from worker.contract.jobs import queue_of

# KEYS: from, to. ARGV: the message, and as it is to be. Workers take from the right.
_MOVE = """
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return 0 end
redis.call('LPUSH', KEYS[2], ARGV[2])
return 1
"""
_PRIORITIES = ("", "\x06\x163", "\x06\x166", "\x06\x169")
UNACKED = "unacked"
"""The key of the queue ``battles``; that of ``records`` has its own name (see ``web.queue``)."""


class _Headers(msgspec.Struct, frozen=True):
    id: str = ""


class _Message(msgspec.Struct, frozen=True):
    headers: _Headers = _Headers()


def in_line(redis: Any) -> set[str]:
    """Ids of the jobs that wait for workers: in the queue that all read, and in those of workers alive now."""
    return waiting(redis, *(queue_of(worker) for worker in (None, *residency.workers(redis))))


def waiting(redis: Any, *queues: str) -> set[str]:
    """Ids of the tasks that wait in ``queues``, whatever their priority."""
    with redis.pipeline(transaction=True) as pipe:
        for queue in queues:
            for suffix in _PRIORITIES:
                pipe.lrange(queue + suffix, 0, -1)
        return {_task_id(raw) for messages in pipe.execute() for raw in messages}


def messages(redis: Any, queue: str) -> list[tuple[str, bytes]]:
    """What waits in ``queue``, oldest first: each message with the list it is in."""
    with redis.pipeline(transaction=True) as pipe:
        for suffix in _PRIORITIES:
            pipe.lrange(queue + suffix, 0, -1)
        found = pipe.execute()
    return [(queue + s, raw) for s, raws in zip(_PRIORITIES, found, strict=True) for raw in reversed(raws)]


def body(message: bytes) -> Any:
    """A message's first argument. Raises ValueError for a message of another form."""
    try:
        told = msgspec.json.decode(base64.b64decode(msgspec.json.decode(message)["body"]))
        return told[0][0]
    except (LookupError, TypeError, binascii.Error, msgspec.DecodeError) as error:
        raise ValueError(type(error).__name__) from None


def move(redis: Any, found: tuple[str, bytes], queue: str) -> bool:
    """Put a waiting message at the end of another ``queue``; False when somebody has taken it meanwhile."""
    where, message = found
    told = msgspec.json.decode(message)
    told["properties"]["delivery_info"]["routing_key"] = queue  # where it goes when it is given back
    moved = msgspec.json.encode(told)
    return bool(redis.register_script(_MOVE)(keys=[where, queue], args=[message, moved]))


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
