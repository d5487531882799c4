"""Many prompts at once: taken in whole or not at all, then fed into the line as room allows (``web.records.feeder``).

Each prompt becomes an ordinary battle of the batch's owner. Its prompt waits in ``batch_items`` and moves to the
battle's own texts when that begins.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, case, exists, func, select, tuple_, update
from sqlalchemy.orm import Session

from web.arena.asking import check_prompt, check_sampling, stored_text
from web.arena.battles import cancel as cancel_battle
from web.context import Arena
from web.errors import (
    ArenaError,
    BadCursor,
    BatchesOff,
    BatchTooLarge,
    InvalidLines,
    SameContender,
    TooManyBatches,
    UnknownBatch,
    UnknownContender,
)
from web.models import Batch, BatchItem, Battle, now
from web.moderation import screen

LINES_TOLD = 20
"""Of the refused lines, so many are told; ``refused`` says how many there are."""
STATES = ("waiting", "queued", "running", "finished", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Progress:
    """A batch and how far it is. ``counts``: items by :data:`STATES`; those that could not begin have failed."""

    batch: Batch
    counts: Mapping[str, int]
    voted: int

    @property
    def state(self) -> str:
        """``running``, or how it ended: ``finished`` or ``cancelled``."""
        if any(self.counts[s] for s in ("waiting", "queued", "running")):
            return "running"
        return "cancelled" if self.batch.cancelled_at else "finished"


def create(
    arena: Arena,
    owner: str,
    name: str,
    prompts: Sequence[tuple[int, str]],
    sampling: Mapping[str, Any] | None = None,
    models: Sequence[str] | None = None,
    spend: Callable[[int], None] = lambda count: None,
) -> Progress:
    """Store ``prompts``, each with the line it came from, or refuse them all.

    ``spend``: told how many there are once nothing else is against them; what it raises refuses them.
    Raises BatchesOff, BatchTooLarge, InvalidLines, TooManyBatches, and what is wrong with ``sampling`` or ``models``.
    """
    settings = arena.settings
    if settings.store_text == "never":
        raise BatchesOff("This arena stores no texts, so no prompt can wait here.")
    stored_text(name, "name")
    if not prompts:
        raise InvalidLines("There is no prompt in it.", lines=[], refused=0)
    if len(prompts) > settings.batch_max_prompts:
        limit = settings.batch_max_prompts
        raise BatchTooLarge(f"{len(prompts)} prompts; at most {limit}.", limit=limit, length=len(prompts))
    _check_models(arena, models)
    _check_lines(arena, prompts)
    batch = Batch(
        id=secrets.token_urlsafe(16),
        owner=owner,
        name=name,
        size=len(prompts),
        sampling=check_sampling(sampling, settings),
        models=list(models) if models else None,
        created_at=now(),
    )
    arena.db.read(lambda s: _check_open(s, owner, settings.batches_open))
    spend(len(prompts))
    arena.db.write(lambda s: _insert(s, batch, [text for _, text in prompts], settings.batches_open))
    return Progress(batch, {**dict.fromkeys(STATES, 0), "waiting": batch.size}, 0)


def _check_models(arena: Arena, models: Sequence[str] | None) -> None:
    if not models:
        return
    for model in models:
        if model not in arena.catalog.ids:
            raise UnknownContender(f"There is no model {model[:40]!r}.", field="models")
    if len(set(models)) != 2:
        raise SameContender("Name two different models.", field="models")


def _check_lines(arena: Arena, prompts: Sequence[tuple[int, str]]) -> None:
    refused = []
    for line, prompt in prompts:
        try:
            check_prompt(prompt, arena.settings.prompt_max_chars)
            screen(arena.settings, prompt)
        except ArenaError as error:
            if error.later:
                raise
            refused.append({"line": line, "code": error.code, "detail": error.detail})
    if refused:
        lines = refused[:LINES_TOLD]
        raise InvalidLines(f"Line {lines[0]['line']}: {lines[0]['detail']}", lines=lines, refused=len(refused))


def _check_open(session: Session, owner: str, most_open: int) -> None:
    waiting = exists().where(BatchItem.batch_id == Batch.id, unbegun())
    unfinished = select(func.count()).where(Batch.owner == owner, Batch.cancelled_at.is_(None), waiting)
    if (session.scalar(unfinished) or 0) >= most_open:
        raise TooManyBatches(f"{most_open} batches of this key are unfinished.", retry_after_s=60, limit=most_open)


def _insert(session: Session, batch: Batch, prompts: Sequence[str], most_open: int) -> None:
    _check_open(session, batch.owner, most_open)
    session.merge(batch)
    session.flush()
    session.add_all(BatchItem(batch_id=batch.id, number=n, prompt=p) for n, p in enumerate(prompts, 1))


def unbegun() -> ColumnElement[bool]:
    """Of an item: still to begin, for whatever else becomes of it takes its prompt away. These have their own index."""
    return BatchItem.prompt.is_not(None)


def owned(session: Session, batch_id: str, owner: str) -> Batch:
    """Raises UnknownBatch, also for somebody else's."""
    batch = session.get(Batch, batch_id)
    if batch is None or batch.owner != owner:
        raise UnknownBatch()
    return batch


def progress(session: Session, batches: Sequence[Batch]) -> list[Progress]:
    """How far each of them is, in one query."""
    state = case(
        (Battle.id.is_not(None), Battle.state),
        (BatchItem.error.is_not(None), "failed"),
        (Batch.cancelled_at.is_not(None), "cancelled"),
        (BatchItem.prompt.is_(None), "failed"),
        else_="waiting",
    )
    rows = session.execute(
        select(BatchItem.batch_id, state, func.count(), func.count(Battle.voted_at))
        .join(Batch, Batch.id == BatchItem.batch_id)
        .join(Battle, Battle.id == BatchItem.battle_id, isouter=True)
        .where(BatchItem.batch_id.in_([b.id for b in batches]))
        .group_by(BatchItem.batch_id, state)
    )
    counts: dict[str, dict[str, int]] = {b.id: dict.fromkeys(STATES, 0) for b in batches}
    voted = dict.fromkeys(counts, 0)
    for batch_id, found, items, votes in rows:
        counts[batch_id][found] += items
        voted[batch_id] += votes
    return [Progress(b, counts[b.id], voted[b.id]) for b in batches]


def read(session: Session, batch_id: str, owner: str) -> Progress:
    """Raises UnknownBatch."""
    return progress(session, [owned(session, batch_id, owner)])[0]


def page(session: Session, owner: str, limit: int, cursor: str | None) -> tuple[list[Progress], str | None]:
    """The owner's batches, newest first, and the cursor of the next page. Raises BadCursor."""
    query = select(Batch).where(Batch.owner == owner).order_by(Batch.created_at.desc(), Batch.id.desc())
    if cursor is not None:
        query = query.where(tuple_(Batch.created_at, Batch.id) < tuple_(*_place(cursor)))
    found = list(session.scalars(query.limit(limit + 1)))
    shown = found[:limit]
    following = f"{shown[-1].created_at.isoformat()}~{shown[-1].id}" if len(found) > limit else None
    return progress(session, shown), following


def _place(cursor: str) -> tuple[Any, str]:
    at, _, batch_id = cursor.partition("~")
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        raise BadCursor(field="cursor") from None
    if moment.tzinfo is None or not batch_id or "\x00" in batch_id:
        raise BadCursor(field="cursor")
    return moment, batch_id


def cancel(arena: Arena, batch_id: str, owner: str) -> Progress:
    """Begin no more of its battles, stop those that run, forget the prompts that waited. Raises UnknownBatch."""

    def stop(session: Session) -> list[str]:
        batch = owned(session, batch_id, owner)
        batch.cancelled_at = batch.cancelled_at or now()
        session.execute(update(BatchItem).where(BatchItem.batch_id == batch_id, unbegun()).values(prompt=None))
        return list(in_flight(session, batch_id))

    for battle in arena.db.write(stop):
        cancel_battle(arena, owner, battle)
    return arena.db.read(lambda s: read(s, batch_id, owner))


def in_flight(session: Session, batch_id: str) -> Iterator[str]:
    """Ids of its battles that wait or run."""
    running = Battle.state.in_(("queued", "running"))
    yield from session.scalars(select(Battle.id).where(Battle.batch_id == batch_id, running))
