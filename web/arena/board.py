"""The leaderboards as stored by the records worker. Reading them needs no arithmetic and no numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from web.errors import UnknownCategory
from web.models import Rating, RatingSnapshot
from worker.contract.catalog import Catalog

T = TypeVar("T")

OVERALL = "overall"
"""The board of all counted votes; every other board is of those of one category."""


@dataclass(frozen=True, slots=True)
class Row:
    """Ratings on the Elo scale around 1000; ``lower`` and ``upper`` bound it with 95 % confidence."""

    model: str
    name: str
    rank: int
    rating: float
    lower: float
    upper: float
    votes: int
    win_rate: float
    preliminary: bool


@dataclass(frozen=True, slots=True)
class Board:
    """``updated_at`` is None before the first vote."""

    models: tuple[Row, ...]
    updated_at: datetime | None
    votes: int = 0


@dataclass(frozen=True, slots=True)
class Moment:
    """A board as it was: ``models`` holds the stored rows, best first."""

    at: datetime
    votes: int
    models: tuple[Rating, ...]


def newest(session: Session, category: str = OVERALL) -> int:
    """Id of the category's newest snapshot; 0 for a board nobody has voted for yet. One look into an index.

    Raises UnknownCategory.
    """
    found = session.scalar(
        select(RatingSnapshot.id).where(RatingSnapshot.board == category).order_by(RatingSnapshot.id.desc()).limit(1)
    )
    if found is None and category != OVERALL:
        raise UnknownCategory(f"There is no category {category[:40]!r}.", field="category")
    return found or 0


def newest_of_all(session: Session) -> int:
    """Id of the newest snapshot of any board; 0 before the first vote."""
    return session.scalar(select(func.max(RatingSnapshot.id))) or 0


def categories(session: Session) -> list[str]:
    """The boards there are; the first is that of all votes."""
    found = session.scalars(select(RatingSnapshot.board).distinct()).all()
    return [OVERALL, *sorted(set(found) - {OVERALL})]


def read_board(session: Session, catalog: Catalog, min_votes: int, category: str = OVERALL) -> Board:
    """The newest snapshot, best first. Models that left the catalog stay, under their id. Raises UnknownCategory."""
    snapshot = session.get(RatingSnapshot, newest(session, category))
    if snapshot is None:
        return Board((), None)
    rows = session.scalars(select(Rating).where(Rating.snapshot_id == snapshot.id).order_by(Rating.rank, Rating.model))
    return Board(tuple(_row(r, catalog, min_votes) for r in rows), snapshot.created_at, snapshot.votes)


def read_history(session: Session, category: str, limit: int, model: str | None = None) -> list[Moment]:
    """At most ``limit`` snapshots, oldest first, evenly spread over those kept, the newest always among them."""
    kept = session.execute(
        select(RatingSnapshot.id, RatingSnapshot.created_at, RatingSnapshot.votes)
        .where(RatingSnapshot.board == category)
        .order_by(RatingSnapshot.id)
    ).all()
    chosen = spread(kept, limit)
    query = select(Rating).where(Rating.snapshot_id.in_([c.id for c in chosen])).order_by(Rating.rank, Rating.model)
    if model is not None:
        query = query.where(Rating.model == model)
    rows: dict[int, list[Rating]] = {c.id: [] for c in chosen}
    for row in session.scalars(query):
        rows[row.snapshot_id].append(row)
    return [Moment(c.created_at, c.votes, tuple(rows[c.id])) for c in chosen]


def spread(items: Sequence[T], most: int) -> list[T]:
    """At most ``most`` of ``items``, in order and evenly spaced, with the last and, if there is room, the first."""
    if len(items) <= most:
        return list(items)
    if most == 1:
        return [items[-1]]
    step = (len(items) - 1) / (most - 1)
    return [items[round(i * step)] for i in range(most)]


def _row(stored: Rating, catalog: Catalog, min_votes: int) -> Row:
    spec = catalog.get(stored.model)
    return Row(
        model=stored.model,
        name=spec.name if spec else stored.model,
        rank=stored.rank,
        rating=round(stored.rating, 1),
        lower=round(stored.lower, 1),
        upper=round(stored.upper, 1),
        votes=stored.votes,
        win_rate=round(stored.win_rate, 4),
        preliminary=stored.votes < min_votes,
    )
