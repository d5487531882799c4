"""Who met whom and who won: added up by the records worker whenever it fits the ratings, so that reading costs
the number of pairs and never the number of votes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from sqlalchemy import delete, func, or_, select
from sqlalchemy.orm import Session

from web.models import PairCount, Vote


@dataclass(frozen=True, slots=True)
class Meetings:
    """Counted votes on two models. ``a`` stands before ``b`` in the order of names; it says nothing of sides."""

    a: str
    b: str
    wins_a: int = 0
    wins_b: int = 0
    ties: int = 0
    both_bad: int = 0

    @property
    def games(self) -> int:
        """All of them."""
        return self.wins_a + self.wins_b + self.ties + self.both_bad

    @property
    def rate_a(self) -> float:
        """Points that ``a`` won per game, a tie being half a point."""
        return round((self.wins_a + (self.ties + self.both_bad) / 2) / self.games, 4)

    def seen_from(self, model: str) -> Meetings:
        """The same with ``model`` as ``a``."""
        if model == self.a:
            return self
        return Meetings(self.b, self.a, self.wins_b, self.wins_a, self.ties, self.both_bad)


def tally(session: Session) -> list[Meetings]:
    """All counted votes, added up: reads every one of them."""
    rows = session.execute(
        select(Vote.model_a, Vote.model_b, Vote.winner, func.count())
        .where(Vote.counted.is_(True), Vote.model_a != Vote.model_b)
        .group_by(Vote.model_a, Vote.model_b, Vote.winner)
    )
    return added_up((a, b, winner, games) for a, b, winner, games in rows)


def added_up(rows: Iterable[tuple[str, str, str, int]]) -> list[Meetings]:
    """``(model on side a, model on side b, winner, games)`` by pair, whichever side each was on."""
    found: dict[tuple[str, str], dict[str, int]] = {}
    for a, b, winner, games in rows:
        first, second = sorted((a, b))
        sums = found.setdefault((first, second), {"wins_a": 0, "wins_b": 0, "ties": 0, "both_bad": 0})
        sums[_column(winner, swapped=first != a)] += games
    return [Meetings(a, b, **sums) for (a, b), sums in sorted(found.items())]


def _column(winner: str, *, swapped: bool) -> str:
    if winner in ("a", "b"):
        return "wins_b" if (winner == "b") != swapped else "wins_a"
    return "ties" if winner == "tie" else "both_bad"


def store(session: Session, meetings: Iterable[Meetings]) -> None:
    """Put ``meetings`` in place of what was stored; writes only what changed."""
    wanted = {(m.a, m.b): m for m in meetings}
    stored = {(row.model_a, row.model_b): row for row in session.scalars(select(PairCount))}
    for (a, b), row in stored.items():
        if (a, b) not in wanted:
            session.execute(delete(PairCount).where(PairCount.model_a == a, PairCount.model_b == b))
        elif _read(row) != wanted[a, b]:
            row.wins_a, row.wins_b = wanted[a, b].wins_a, wanted[a, b].wins_b
            row.ties, row.both_bad = wanted[a, b].ties, wanted[a, b].both_bad
    session.add_all(_row(m) for key, m in wanted.items() if key not in stored)


def read(session: Session, model: str | None = None) -> list[Meetings]:
    """Every pair that met, or those of ``model``, in the order of names."""
    query = select(PairCount).order_by(PairCount.model_a, PairCount.model_b)
    if model is not None:
        query = query.where(or_(PairCount.model_a == model, PairCount.model_b == model))
    return [_read(row) for row in session.scalars(query)]


def _read(row: PairCount) -> Meetings:
    return Meetings(row.model_a, row.model_b, row.wins_a, row.wins_b, row.ties, row.both_bad)


def _row(m: Meetings) -> PairCount:
    sums = {k: v for k, v in asdict(m).items() if k not in ("a", "b")}
    return PairCount(model_a=m.a, model_b=m.b, **sums)
