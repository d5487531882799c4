"""Who did what: the database's own lines, and the commands that workers were given, as one log, newest first."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from web.access import Key
from web.context import Arena
from web.errors import InvalidQuery
from web.models import AuditLine
from worker.contract import audit
from worker.contract.audit import AuditEntry

_CURSOR = re.compile(r"(\d{1,18})\.(\d{1,18}-\d{1,18})?")
_NEWEST = 2**31 - 1
"""The greatest number that PostgreSQL compares an id with."""


def name_of(by: Key | str) -> str:
    """How the log calls who does something."""
    return by if isinstance(by, str) else by.id


def note(session: Session, by: Key | str, action: str, target: str, reason: str = "") -> None:
    """One line, committed with whatever else ``session`` changes."""
    session.add(AuditLine(by=name_of(by), action=action, target=target, reason=reason))


@dataclass(frozen=True, slots=True)
class Line:
    """``by``: a key's id, ``celery`` or ``command line``. ``worker``: who was commanded, None for the database's."""

    at: datetime
    by: str
    action: str
    target: str
    reason: str
    outcome: str
    detail: str
    worker: str | None
    operation: str | None


def read(arena: Arena, cursor: str | None, limit: int) -> tuple[list[Line], str | None]:
    """Up to ``limit`` lines older than ``cursor`` and the cursor of the next page, None at the end.

    Raises InvalidQuery for a cursor that is none of ours.
    """
    below, before = _parsed(cursor)
    stored = arena.db.read(
        lambda s: list(
            s.scalars(select(AuditLine).where(AuditLine.id < below).order_by(AuditLine.id.desc()).limit(limit))
        )
    )
    commanded = audit.read_before(arena.redis, before, limit)
    lines: list[Line] = []
    for line, stored_id, stream_id in _merged(stored, commanded):
        if len(lines) == limit:
            return lines, f"{below}.{before or ''}"
        lines.append(line)
        below, before = stored_id or below, stream_id or before
    more = len(stored) == limit or len(commanded) == limit
    return lines, f"{below}.{before or ''}" if more else None


def _parsed(cursor: str | None) -> tuple[int, str | None]:
    if cursor is None:
        return _NEWEST, None
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        raise InvalidQuery("cursor: is not one that this list gave", field="cursor")
    return min(int(found[1]), _NEWEST), found[2]


def _merged(
    stored: list[AuditLine], commanded: list[tuple[str, AuditEntry]]
) -> Iterable[tuple[Line, int | None, str | None]]:
    """By time, newest first, each with its place in the source it is from; a source's own order is kept."""
    ours: Iterator[tuple[Line, int | None, str | None]] = ((_of_database(line), line.id, None) for line in stored)
    theirs: Iterator[tuple[Line, int | None, str | None]] = ((_of_worker(e), None, id_) for id_, e in commanded)
    return heapq.merge(ours, theirs, key=lambda row: row[0].at, reverse=True)


def _of_database(line: AuditLine) -> Line:
    return Line(line.at, line.by, line.action, line.target, line.reason, "ok", "", None, None)


def _of_worker(entry: AuditEntry) -> Line:
    said: dict[str, Any] = dict(entry.arguments)
    reason = str(said.pop("reason", ""))
    return Line(
        at=datetime.fromtimestamp(entry.at, UTC),
        by=entry.by or "celery",
        action=entry.command,
        target=" ".join(str(v) for v in said.values()),
        reason=reason,
        outcome=entry.outcome,
        detail=entry.detail,
        worker=entry.worker,
        operation=entry.operation,
    )
