"""What operators asked of each worker and what they were told, kept in Redis for whoever looks later.

One capped stream for all workers. Entries hold model ids, battle ids and operation ids; never a prompt, an answer or a
session.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

STREAM = "arena:audit"
KEPT = 10_000
"""Entries the stream holds, roughly: Redis trims whole nodes."""

Outcome = Literal["ok", "refused", "failed"]


class AuditEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One command. ``at``: unix seconds. ``failed``: a defect of the worker, not a refusal.

    ``by``: the id of the key it was asked with; None for one given through Celery, which knows no names.
    """

    at: float
    worker: str
    command: str
    arguments: dict[str, str]
    outcome: Outcome
    detail: str
    operation: str | None = None
    by: str | None = None


def line(entry: AuditEntry) -> str:
    """The entry as one line of JSON."""
    return msgspec.json.encode(entry).decode()


async def append(redis: Any, entry: AuditEntry) -> None:
    """Async client."""
    await redis.xadd(STREAM, {"entry": msgspec.json.encode(entry)}, maxlen=KEPT, approximate=True)


def read(redis: Any, count: int = 100) -> list[AuditEntry]:
    """The last ``count`` entries of all workers, newest first. Sync client."""
    return [entry for _, entry in read_before(redis, None, count)]


def read_before(redis: Any, before: str | None, count: int = 100) -> list[tuple[str, AuditEntry]]:
    """Up to ``count`` entries older than the one with id ``before``, newest first, each with its id. Sync client."""
    found = redis.xrevrange(STREAM, max=f"({before}" if before else "+", count=count)
    return [(id_.decode(), msgspec.json.decode(fields[b"entry"], type=AuditEntry)) for id_, fields in found]
