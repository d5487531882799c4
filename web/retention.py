"""What people and models wrote goes after ``ARENA_RETAIN_TEXT_DAYS``; votes, and what the ranking needs, stay.

Deleted in small transactions, so that nobody waits for a purge. On SQLite the deleted bytes are overwritten and the
write-ahead log, which would hold them for a while longer, is folded into the file and emptied.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from redis.exceptions import RedisError
from sqlalchemy import String, cast, delete, select, tuple_, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from web.context import Arena
from web.models import Batch, BatchItem, Battle, Turn, Vote, Words, now
from web.settings import WebSettings
from worker.contract import channel

log = logging.getLogger(__name__)

AT_ONCE = 200
"""Rows of one transaction."""
DONE_KEY = "arena:purge:done"
"""When the last purge began, in unix seconds."""
LEADER_KEY = "arena:purge:leader"
LEADER_S = 3600
_OVER = ("finished", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Purged:
    """How many rows: turns whose texts went, votes whose comment went, batch items whose prompt went."""

    turns: int = 0
    comments: int = 0
    prompts: int = 0

    def __str__(self) -> str:
        return f"texts of {self.turns} turns, {self.comments} comments, {self.prompts} prompts of batches"


def purge(arena: Arena, days: float, at: datetime | None = None) -> Purged:
    """Delete all that was written more than ``days`` before ``at`` (now). May be run again, and by several at once.

    Raises SQLAlchemyError and RedisError; what was deleted until then stays deleted.
    """
    before = (at or now()) - timedelta(days=days)
    turns = sum(_turns(arena, before))
    sum(_in_steps(arena, lambda s: _stops(s, before)))
    comments = sum(_in_steps(arena, lambda s: _comments(s, before)))
    prompts = sum(_in_steps(arena, lambda s: _prompts(s, before)))
    if turns or comments or prompts:
        _empty_log(arena)
    return Purged(turns, comments, prompts)


def _in_steps(arena: Arena, step: Callable[[Session], int]) -> Iterator[int]:
    while count := arena.db.write(step):
        yield count


def _turns(arena: Arena, before: datetime) -> Iterator[int]:
    """Texts of the database, and the battle's live log with them if it is still there."""
    while found := arena.db.write(lambda s: _texts(s, before)):
        battles = {battle for battle, _ in found}
        arena.redis.unlink(*(key for b in battles for key in (channel.log_key(b), channel.meta_key(b))))
        yield len(found)


def _texts(session: Session, before: datetime) -> Sequence[Any]:
    old = (
        select(Words.battle_id, Words.turn)
        .join(Turn, (Turn.battle_id == Words.battle_id) & (Turn.turn == Words.turn))
        .join(Battle, Battle.id == Words.battle_id)
        .where(Turn.asked_at < before, Battle.state.in_(_OVER))
        .distinct()
        .limit(AT_ONCE)
    )
    found = [(battle, turn) for battle, turn in session.execute(old)]
    if found:
        session.execute(delete(Words).where(tuple_(Words.battle_id, Words.turn).in_(found)))
    return found


def _stops(session: Session, before: datetime) -> int:
    """Stop strings are the asker's words too; the other sampling parameters stay."""
    old = (
        select(Battle)
        .where(Battle.created_at < before, Battle.state.in_(_OVER), cast(Battle.sampling, String).like('%"stop"%'))
        .limit(AT_ONCE)
    )
    found = list(session.scalars(old))
    for battle in found:
        battle.sampling = {k: v for k, v in (battle.sampling or {}).items() if k != "stop"} or None
    return len(found)


def _comments(session: Session, before: datetime) -> int:
    old = select(Vote.id).where(Vote.comment.is_not(None), Vote.created_at < before).limit(AT_ONCE)
    found = list(session.scalars(old))
    if found:
        session.execute(update(Vote).where(Vote.id.in_(found)).values(comment=None))
    return len(found)


def _prompts(session: Session, before: datetime) -> int:
    """Also of items that never became a battle: whoever runs the batch finds no prompt and says so."""
    old = (
        select(BatchItem.batch_id, BatchItem.number)
        .join(Batch, Batch.id == BatchItem.batch_id)
        .where(BatchItem.prompt.is_not(None), Batch.created_at < before)
        .limit(AT_ONCE)
    )
    found = [(batch, number) for batch, number in session.execute(old)]
    if found:
        these = tuple_(BatchItem.batch_id, BatchItem.number).in_(found)
        session.execute(update(BatchItem).where(these).values(prompt=None))
    return len(found)


def _empty_log(arena: Arena) -> None:
    if not arena.db.sqlite:
        return
    with contextlib.suppress(OperationalError), arena.db.engine.connect() as connection:
        cursor = connection.connection.cursor()  # past SQLAlchemy's BEGIN, inside which there is no checkpoint
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        cursor.close()


# ── every night ──────────────────────────────────────────────────────────────────────────────────────────────────


def age_limit(settings: WebSettings) -> float | None:
    """Days after which what people wrote goes. An arena that stores no texts clears away what is left."""
    return 1.0 if settings.retain_text_days is None and settings.store_text == "never" else settings.retain_text_days


def due(arena: Arena, at: datetime | None = None) -> bool:
    """Whether texts have an age limit and tonight's purge has not been. Raises RedisError."""
    if age_limit(arena.settings) is None:
        return False
    done = arena.redis.get(DONE_KEY)
    return done is None or float(done) < last_night(at or now(), arena.settings.purge_hour).timestamp()


def last_night(at: datetime, hour: int) -> datetime:
    """The last time it was ``hour`` o'clock, UTC."""
    tonight = at.astimezone(UTC).replace(hour=hour, minute=0, second=0, microsecond=0)
    return tonight if tonight <= at else tonight - timedelta(days=1)


def purge_if_due(arena: Arena) -> Purged | None:
    """Tonight's purge, unless another records worker does it; None when there was none to do. Raises as purge does."""
    days = age_limit(arena.settings)
    if days is None or not due(arena) or not arena.redis.set(LEADER_KEY, b"1", nx=True, ex=LEADER_S):
        return None
    try:
        began = now().timestamp()
        purged = purge(arena, days)
        arena.redis.set(DONE_KEY, began)
        log.info("deleted because of their age: %s", purged)
        return purged
    finally:
        with contextlib.suppress(RedisError):
            arena.redis.delete(LEADER_KEY)
