"""The stored leaderboards: fitted from the book of votes, a snapshot each, by the records worker."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from web.models import RATED, Rating, RatingSnapshot
from web.ratings.book import Extent, VoteBook
from web.ratings.figures import figures
from web.ratings.method import Method, board
from web.ratings.standings import Standing
from web.settings.ratings import RatingSettings

KEPT_SNAPSHOTS = 200
"""Of each board; of those before them the last of each day stays for good."""
_LOOKED_THROUGH = 50
_STYLE_PATIENCE = 2000
"""The board of style control waits for one vote more in so many; up to as many votes it never waits."""
OVERALL, STYLE_CONTROL = "overall", "style_control"


class Boards:
    """What the records worker keeps between refreshes. Not safe to share between threads."""

    def __init__(self, method: Method, min_votes: int) -> None:
        """Boards other than ``overall`` are made from ``min_votes`` votes on."""
        self.book = VoteBook()
        self._method, self._min_votes = method, min_votes
        self._stored: dict[str, Extent] = {}
        self._honesty: dict[str, tuple[Extent, dict[str, Any]]] = {}

    def changed(self, session: Session, doubtful: bool = False) -> dict[str, Extent]:
        """Catch up with the votes; the boards whose newest snapshot is not of just these votes.

        Of another process's snapshot only number and newest vote are known; ``doubtful``: do not trust them.
        """
        self.book.catch_up(session)
        extents = {name: self.book.extent(name) for name in self._names()}
        for name in extents.keys() - self._stored.keys():
            self._stored[name] = newest_extent(session, name)
        different = {name: now for name, now in extents.items() if not _same(now, self._stored[name], doubtful)}
        if STYLE_CONTROL in different and _hardly(different[STYLE_CONTROL], self._stored[STYLE_CONTROL]):
            del different[STYLE_CONTROL]
        return different

    def fit(self, names: Iterable[str]) -> dict[str, list[Standing]]:
        """Those boards, best first."""
        return {name: board(self.book.columns(name), self._by(name)) for name in names}

    def honesty(self, extents: dict[str, Extent]) -> dict[str, dict[str, Any]]:
        """How far each of those boards can be trusted. Costs more than a fit, so a few votes more change nothing."""
        for name, now in extents.items():
            of, _ = self._honesty.get(name, (Extent(0, 0), {}))
            if not of.votes or not _hardly(now, of):
                self._honesty[name] = now, figures(self.book.columns(name), self._by(name))
        return {name: self._honesty[name][1] for name in extents}

    def store(
        self,
        session: Session,
        boards: dict[str, list[Standing]],
        extents: dict[str, Extent],
        honesty: Mapping[str, dict[str, Any]] | None = None,
    ) -> None:
        """One snapshot each. Call :meth:`stored` when it is committed."""
        for name, rows in boards.items():
            store(session, name, rows, extents[name], str(self._by(name)), (honesty or {}).get(name))

    def stored(self, extents: dict[str, Extent]) -> None:
        """These are in the database now."""
        self._stored |= extents

    def _names(self) -> list[str]:
        names = self.book.boards(self._min_votes)
        return [*names, STYLE_CONTROL] if self.book.styled() >= self._min_votes else names

    def _by(self, name: str) -> Method:
        return replace(self._method, style=True) if name == STYLE_CONTROL else self._method


def make_method(settings: RatingSettings) -> Method:
    """As the settings say."""
    return Method(
        prior=settings.rating_prior,
        weights=settings.rating_weights,
        both_bad=settings.rating_both_bad,
        order=settings.rating_order,
    )


def make_boards(settings: RatingSettings) -> Boards:
    """As the settings say."""
    return Boards(make_method(settings), settings.board_min_votes)


def newest_extent(session: Session, name: str = OVERALL) -> Extent:
    """The extent of the board's newest snapshot; of nothing when there is none."""
    row = session.execute(
        select(RatingSnapshot.votes, RatingSnapshot.newest_vote)
        .where(RatingSnapshot.board == name)
        .order_by(RatingSnapshot.id.desc())
        .limit(1)
    ).first()
    return Extent(int(row[0]), int(row[1])) if row else Extent(0, 0)


def store(
    session: Session,
    name: str,
    rows: Iterable[Standing],
    seen: Extent,
    method: str,
    honesty: dict[str, Any] | None = None,
) -> int:
    """Store a snapshot, forget old ones (see :data:`KEPT_SNAPSHOTS`), and return its id."""
    snapshot = RatingSnapshot(
        board=name, votes=seen.votes, newest_vote=seen.newest, method=method[:80], honesty=honesty
    )
    session.add(snapshot)
    session.flush()
    session.add_all(Rating(snapshot_id=snapshot.id, **{name: getattr(s, name) for name in RATED}) for s in rows)
    _forget(session, name)
    return snapshot.id


def _forget(session: Session, name: str) -> None:
    old = session.execute(
        select(RatingSnapshot.id, RatingSnapshot.created_at)
        .where(RatingSnapshot.board == name)
        .order_by(RatingSnapshot.id.desc())
        .offset(KEPT_SNAPSHOTS - 1)
        .limit(_LOOKED_THROUGH)
    ).all()
    expired = [
        older.id for newer, older in itertools.pairwise(old) if newer.created_at.date() == older.created_at.date()
    ]
    if expired:
        session.execute(delete(RatingSnapshot).where(RatingSnapshot.id.in_(expired)))


def _hardly(now: Extent, before: Extent) -> bool:
    """Whether so few votes came that what costs much, the style board and the honesty figures, may wait for more."""
    return 0 <= now.votes - before.votes < now.votes / _STYLE_PATIENCE


def _same(now: Extent, before: Extent, doubtful: bool) -> bool:
    if not now.votes and not before.votes:
        return True
    if (now.votes, now.newest) != (before.votes, before.newest):
        return False
    return not doubtful if before.digest is None else now.digest == before.digest
