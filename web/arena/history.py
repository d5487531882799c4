"""A person's battles, newest first, a page at a time."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from web.arena.catalogue import names
from web.errors import BadCursor
from web.models import Battle, Vote, Words
from worker.contract.catalog import Catalog

EXCERPT = 160
"""Characters of the first prompt that a list shows."""


@dataclass(frozen=True, slots=True)
class Entry:
    """``winner`` and ``names`` (model id and name, by side) only after the vote. ``prompt``: how it begins."""

    battle: Battle
    prompt: str
    winner: str | None
    names: dict[str, dict[str, str]] | None


def mine(
    session: Session, catalog: Catalog, owner: str | None, limit: int, cursor: str | None = None
) -> tuple[list[Entry], str | None]:
    """At most ``limit`` battles after ``cursor``, and the cursor of the next page if there is one. Raises BadCursor."""
    if owner is None:
        return [], None
    query = (
        select(Battle, Vote.winner, Words.content)
        .outerjoin(Vote, Vote.battle_id == Battle.id)
        .outerjoin(Words, and_(Words.battle_id == Battle.id, Words.turn == 1, Words.part == "prompt"))
        .where(Battle.owner == owner, Battle.deleted_at.is_(None))
        .order_by(Battle.created_at.desc(), Battle.id.desc())
        .limit(limit + 1)
    )
    if cursor is not None:
        at, battle_id = _read(cursor)
        query = query.where(
            or_(Battle.created_at < at, and_(Battle.created_at == at, Battle.id < battle_id)),
        )
    rows = session.execute(query).all()
    judged = [b for b, winner, _ in rows if winner]
    called = names(session, catalog, {m for b in judged for m in (b.model_a, b.model_b)})
    entries = [Entry(b, _excerpt(prompt), winner, _names(called, b) if winner else None) for b, winner, prompt in rows]
    more = len(entries) > limit
    return entries[:limit], _cursor(entries[limit - 1].battle) if more else None


def _names(called: Mapping[str, str], battle: Battle) -> dict[str, dict[str, str]]:
    sides = {"a": battle.model_a, "b": battle.model_b}
    return {s: {"id": m, "name": called[m]} for s, m in sides.items()}


def _excerpt(prompt: str | None) -> str:
    words = " ".join((prompt or "")[: 4 * EXCERPT].split())
    return words if len(words) <= EXCERPT else words[: EXCERPT - 1] + "…"


def _cursor(battle: Battle) -> str:
    return base64.urlsafe_b64encode(f"{battle.created_at.isoformat()}|{battle.id}".encode()).decode().rstrip("=")


def _read(cursor: str) -> tuple[datetime, str]:
    try:
        at, _, battle_id = (
            base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True).decode().partition("|")
        )
        moment = datetime.fromisoformat(at)
        if not battle_id or moment.tzinfo is None:
            raise ValueError
        return moment, battle_id
    except (ValueError, binascii.Error, OverflowError):
        raise BadCursor("cursor: use next_cursor of an answer, as it is.", field="cursor") from None
