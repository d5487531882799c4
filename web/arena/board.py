"""The leaderboard as stored by the records worker. Reading it needs no arithmetic and no numpy."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from web.models import Rating, RatingSnapshot
from worker.contract.catalog import Catalog


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


def read_board(session: Session, catalog: Catalog, min_votes: int) -> Board:
    """The newest snapshot, best first. Models that left the catalog stay, under their id."""
    snapshot = session.scalar(select(RatingSnapshot).order_by(RatingSnapshot.id.desc()).limit(1))
    if snapshot is None:
        return Board((), None)
    rows = session.scalars(select(Rating).where(Rating.snapshot_id == snapshot.id).order_by(Rating.rank, Rating.model))
    return Board(tuple(_row(r, catalog, min_votes) for r in rows), snapshot.created_at, snapshot.votes)


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
