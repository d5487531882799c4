"""What those who watch the arena as operators are told, as it happens.

It travels as a battle's frames do, on the channel of a battle that cannot exist, so that the one subscriber of a web
process serves operators too. It names models: nothing of it may reach a client without scope ``admin``. A worker asks
whether anybody watches before it makes its board, so an arena that nobody watches pays one round trip a second.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from worker.contract.channel import channel_key

OPERATORS = "operators"
"""In the place of a battle's id, which has 22 characters."""
CHANNEL = channel_key(OPERATORS)

KEYS = "keys"
"""Another such place, for word of revoked keys alone: a line that was opened with one ends then."""

What = Literal["models", "votes", "sessions", "keys", "battles", "workers"]


class _Told(msgspec.Struct, frozen=True, tag_field="type"):
    pass


class WorkerBoard(_Told, frozen=True, tag="worker"):
    """One worker, whole, as ``celery -A worker inspect`` shows it. ``at``: unix seconds. One that falls silent is gone.

    ``throughput``: by model, of the last minute: ``answers``, ``tokens``, ``tokens_per_s``; since the worker's start:
    ``failures``, by what failed. ``operations``: the newest last.
    """

    worker: str
    at: float
    accepting: bool
    engines: dict[str, Any]
    queue: dict[str, Any]
    memory: dict[str, Any]
    battles: dict[str, Any]
    chats: dict[str, Any]
    operations: list[dict[str, Any]]
    throughput: dict[str, Any]


class Changed(_Told, frozen=True, tag="changed"):
    """Something that operators list has changed. ``subject``: which one, where that matters (a revoked key)."""

    what: What
    subject: str = ""


Told = WorkerBoard | Changed


def _message(told: Told) -> bytes:
    return b"- 0 " + msgspec.json.encode(told)


async def watched(redis: Any) -> bool:
    """Whether any process watches. Async client."""
    counts = await redis.pubsub_numsub(CHANNEL)
    return any(count > 0 for _, count in counts)


async def tell_async(redis: Any, told: Told) -> None:
    """Async client."""
    await redis.publish(CHANNEL, _message(told))


def tell(redis: Any, told: Told) -> None:
    """Sync client."""
    redis.publish(CHANNEL, _message(told))


def tell_revoked(redis: Any, key: str) -> None:
    """Operators, and whoever has a line open, that the key of this id opens nothing any more. Sync client."""
    told = Changed("keys", key)
    tell(redis, told)
    redis.publish(channel_key(KEYS), _message(told))
