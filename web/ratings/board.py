"""From counted votes to a stored leaderboard."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from web.models import Rating, RatingSnapshot, Vote
from web.ratings.standings import Standing, standings
from web.ratings.tally import SCORES, Count

__all__ = ["extent", "newest_extent", "read_counts", "standings", "store"]

KEPT_SNAPSHOTS = 200


def read_counts(session: Session) -> list[Count]:
    """Counted votes, added up by pair and outcome."""
    rows = session.execute(
        select(Vote.model_a, Vote.model_b, Vote.winner, func.count())
        .where(Vote.counted.is_(True), Vote.model_a != Vote.model_b)
        .group_by(Vote.model_a, Vote.model_b, Vote.winner)
        .order_by(Vote.model_a, Vote.model_b, Vote.winner)
    )
    return [Count(a, b, SCORES[winner], games) for a, b, winner, games in rows]


def extent(session: Session) -> tuple[int, int]:
    """How many counted votes there are, and the newest one's id: what a snapshot is made from."""
    votes, newest = session.execute(
        select(func.count(), func.coalesce(func.max(Vote.id), 0)).where(Vote.counted.is_(True))
    ).one()
    return int(votes), int(newest)


def newest_extent(session: Session) -> tuple[int, int]:
    """The extent of the newest snapshot; ``(0, 0)`` when there is none."""
    row = session.execute(
        select(RatingSnapshot.votes, RatingSnapshot.newest_vote).order_by(RatingSnapshot.id.desc()).limit(1)
    ).first()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def store(session: Session, board: Iterable[Standing], seen: tuple[int, int], prior: float) -> int:
    """Store a snapshot, forget those older than :data:`KEPT_SNAPSHOTS`, and return its id."""
    snapshot = RatingSnapshot(votes=seen[0], newest_vote=seen[1], method=f"bradley-terry, prior {prior:g}")
    session.add(snapshot)
    session.flush()
    session.add_all(
        Rating(
            snapshot_id=snapshot.id,
            model=s.model,
            rank=s.rank,
            rating=s.rating,
            lower=s.lower,
            upper=s.upper,
            votes=s.votes,
            win_rate=s.win_rate,
        )
        for s in board
    )
    old = select(RatingSnapshot.id).order_by(RatingSnapshot.id.desc()).offset(KEPT_SNAPSHOTS)
    expired = list(session.scalars(old))
    if expired:
        session.execute(delete(RatingSnapshot).where(RatingSnapshot.id.in_(expired)))
    return snapshot.id
