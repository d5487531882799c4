"""From counted votes to a stored leaderboard."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from web.models import Rating, RatingSnapshot, Vote
from web.ratings.bradley_terry import fit
from web.ratings.tally import SCORES, Count

KEPT_SNAPSHOTS = 200
SAME = 1e-6
"""Ratings closer than this are equal; numerical noise must not rank anybody."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A row of the board, as :class:`web.models.Rating` stores it."""

    model: str
    rank: int
    rating: float
    lower: float
    upper: float
    votes: int
    win_rate: float


def standings(counts: Sequence[Count], prior: float) -> list[Standing]:
    """The board from the counts, best first; equal ratings share a rank.

    ``win_rate``: points won per game, a tie being half a point.
    """
    games: dict[str, int] = defaultdict(int)
    points: dict[str, float] = defaultdict(float)
    for count in counts:
        for model, score in ((count.a, count.score), (count.b, 1 - count.score)):
            games[model] += count.games
            points[model] += score * count.games
    strengths = fit(counts, prior)
    return [
        Standing(
            model=s.model,
            rank=1 + sum(other.rating - s.rating > SAME for other in strengths),
            rating=s.rating,
            lower=s.lower,
            upper=s.upper,
            votes=games[s.model],
            win_rate=points[s.model] / games[s.model],
        )
        for s in strengths
    ]


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
