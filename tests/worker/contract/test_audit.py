"""The audit stream: written by workers, read newest first, capped, and nothing but what a command was."""

from __future__ import annotations

import asyncio
import json

import redis
import redis.asyncio

from worker.contract import audit
from worker.contract.audit import AuditEntry


def entry(n: int) -> AuditEntry:
    return AuditEntry(float(n), "w@unit", "pin", {"model": f"m{n}"}, "ok", "stays", f"{n:08x}")


def written(url: str, entries: list[AuditEntry]) -> None:
    async def go() -> None:
        async with redis.asyncio.Redis.from_url(url) as client:
            for one in entries:
                await audit.append(client, one)

    asyncio.run(go())


def test_entries_come_back_whole_and_newest_first(redis_url: str, redis_client: redis.Redis) -> None:
    entries = [entry(n) for n in range(5)]
    written(redis_url, entries)
    assert audit.read(redis_client) == entries[::-1]
    assert audit.read(redis_client, 2) == [entries[4], entries[3]]


def test_nothing_was_asked_yet(redis_client: redis.Redis) -> None:
    assert audit.read(redis_client) == []


def test_the_stream_is_capped(redis_url: str, redis_client: redis.Redis) -> None:
    with redis_client.pipeline(transaction=False) as pipe:
        for _ in range(audit.KEPT + 500):
            pipe.xadd(audit.STREAM, {"entry": b"{}"})
        pipe.execute()
    written(redis_url, [entry(1)])
    assert redis_client.xlen(audit.STREAM) < audit.KEPT + 500
    assert audit.read(redis_client, 1) == [entry(1)]


def test_a_line_leaves_out_what_is_not_there() -> None:
    refused = AuditEntry(1.0, "w@unit", "load", {}, "refused", "say which")
    assert "\n" not in audit.line(refused)
    assert json.loads(audit.line(refused)) == {
        "at": 1.0,
        "worker": "w@unit",
        "command": "load",
        "arguments": {},
        "outcome": "refused",
        "detail": "say which",
    }
