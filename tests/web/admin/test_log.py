"""The audit log: two sources, one order, page by page."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
import redis
import redis.asyncio

from tests.web.admin.conftest import Bearer
from web.admin import log
from web.context import Arena
from web.errors import InvalidQuery
from web.models import AuditLine
from worker.contract import audit
from worker.contract.audit import AuditEntry

BEGAN = 1_700_000_000


def fill(arena: Arena, redis_url: str) -> None:
    """Lines at even seconds in the database, commands at odd ones in Redis."""
    lines = [
        AuditLine(at=datetime.fromtimestamp(BEGAN + i, UTC), by="k", action="vote.flag", target=str(i), reason="r")
        for i in range(0, 10, 2)
    ]
    arena.db.write(lambda s: s.add_all(lines))

    async def command() -> None:
        client = redis.asyncio.Redis.from_url(redis_url)
        for i in range(1, 10, 2):
            said = {"model": str(i), "reason": "why"}
            await audit.append(client, AuditEntry(BEGAN + i, "w", "load", said, "ok", "will load", "op", "k"))
        await client.aclose()

    asyncio.run(command())


@pytest.mark.parametrize("limit", [1, 2, 3, 9, 10, 50])
def test_both_sources_are_one_log_newest_first(arena: Arena, redis_url: str, limit: int) -> None:
    fill(arena, redis_url)
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(12):
        lines, cursor = log.read(arena, cursor, limit)
        assert len(lines) <= limit
        seen += [line.target for line in lines]
        if cursor is None:
            break
    assert seen == [str(i) for i in range(9, -1, -1)]


def test_a_line_says_who_asked_whom(arena: Arena, admin: Bearer, redis_url: str) -> None:
    fill(arena, redis_url)
    lines = admin.get("/api/admin/audit").get_json()["lines"]
    assert "key.create" in [line["action"] for line in lines]
    newest = next(line for line in lines if line["worker"])
    assert {k: newest[k] for k in ("by", "action", "target", "reason", "worker", "operation", "outcome")} == {
        "by": "k",
        "action": "load",
        "target": "9",
        "reason": "why",
        "worker": "w",
        "operation": "op",
        "outcome": "ok",
    }


def test_a_command_given_through_celery_has_nobodys_name(arena: Arena, redis_client: redis.Redis) -> None:
    entry = '{"at":1,"worker":"w","command":"drain","arguments":{},"outcome":"ok","detail":""}'
    redis_client.xadd(audit.STREAM, {"entry": entry})
    (line,), _ = log.read(arena, None, 5)
    assert line.by == "celery"


@pytest.mark.parametrize("cursor", ["", "x", "1", "1.2", "9" * 30 + "."])
def test_a_foreign_cursor_is_refused(arena: Arena, cursor: str) -> None:
    with pytest.raises(InvalidQuery):
        log.read(arena, cursor, 5)
