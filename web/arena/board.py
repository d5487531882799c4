"""The leaderboards as stored by the records worker. Reading them needs no arithmetic and no numpy."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from web.arena.catalogue import Known, known, variants
from web.errors import UnknownCategory
from web.models import RATED, Rating, RatingSnapshot
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
    best_rank: int
    worst_rank: int
    """The ranks it may have, as far as the votes know (see :mod:`web.ratings.standings`)."""
    maker: str = ""
    family: str = ""
    precision: str = ""
    retired: bool = False
    variant_of: str | None = None
    variants: tuple[str, ...] = ()
    changed_at: datetime | None = None
    """The last five as :class:`web.arena.catalogue.Known` and the board's other rows have them."""


@dataclass(frozen=True, slots=True)
class Board:
    """``updated_at`` is None before the first vote."""

    models: tuple[Row, ...]
    updated_at: datetime | None
    votes: int = 0
    honesty: dict[str, Any] | None = None
    """See :func:`web.ratings.figures.figures`."""


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
    stored = read_rows(session, snapshot.id)
    models = known(session, catalog, [row.model for row in stored])
    alike = variants(models)
    spread = _rank_spreads(stored)
    made = tuple(_row(r, models[r.model], alike[r.model], spread[r.model], min_votes) for r in stored)
    return Board(made, snapshot.created_at, snapshot.votes, snapshot.honesty)


def read_rows(session: Session, snapshot: int) -> Sequence[Rating]:
    """A snapshot's rows as they are stored, best first."""
    return session.scalars(
        select(Rating).where(Rating.snapshot_id == snapshot).order_by(Rating.rank, Rating.model)
    ).all()


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


def _rank_spreads(rows: Sequence[Rating]) -> dict[str, tuple[int, int]]:
    """Best and worst rank of each: those whose interval lies wholly above or below are surely there."""
    lowers, uppers = sorted(row.lower for row in rows), sorted(row.upper for row in rows)
    return {
        row.model: (1 + len(rows) - bisect_right(lowers, row.upper), len(rows) - bisect_left(uppers, row.lower))
        for row in rows
    }


def rounded(stored: Rating) -> dict[str, Any]:
    """What the fit found of one model, as it is told everywhere: ratings to a tenth, shares to four places."""
    found = {name: getattr(stored, name) for name in RATED}
    tenths = {name: round(found[name], 1) for name in ("rating", "lower", "upper")}
    return found | tenths | {"win_rate": round(stored.win_rate, 4)}


def _row(stored: Rating, of: Known, alike: Sequence[str], ranks: tuple[int, int], min_votes: int) -> Row:
    return Row(
        **rounded(stored),
        name=of.name,
        preliminary=stored.votes < min_votes,
        best_rank=ranks[0],
        worst_rank=ranks[1],
        maker=of.maker,
        family=of.family,
        precision=of.precision,
        retired=of.retired,
        variant_of=of.variant_of or None,
        variants=tuple(alike),
        changed_at=of.changed_at,
    )
