"""Votes, and the leaderboards made from them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, text, true
from sqlalchemy.orm import Mapped, mapped_column

from web.models.base import Base, Moment, now


class Vote(Base):
    """One judgement; at most one per battle, which the database itself enforces."""

    __tablename__ = "votes"
    __table_args__ = (
        UniqueConstraint("battle_id"),
        CheckConstraint("winner IN ('a', 'b', 'tie', 'both_bad')", name="winner"),
        Index(None, "counted", "model_a", "model_b"),
        Index(None, "owner"),
        Index(None, "place"),
        Index(None, "prompt_mark"),
        Index(None, "created_at"),
        Index(
            "ix_votes_unjudged",
            "id",
            sqlite_where=text("judged IS 0"),
            postgresql_where=text("judged IS false"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    battle_id: Mapped[str] = mapped_column(ForeignKey("battles.id"))
    owner: Mapped[str] = mapped_column(String(64))
    winner: Mapped[str] = mapped_column(String(8))
    model_a: Mapped[str] = mapped_column(String(64))
    model_b: Mapped[str] = mapped_column(String(64))
    counted: Mapped[bool] = mapped_column(default=True)
    reasons: Mapped[list[str]] = mapped_column(JSON, default=list)
    """Why it does not count; empty when it does."""
    idempotency_key: Mapped[str | None] = mapped_column(String(64))
    why: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """The voter's own reasons, of a closed set, by side."""
    comment: Mapped[str | None] = mapped_column(Text)
    """The voter's words; they go when the battle's texts go."""
    features: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """All the ranking needs of the battle, so that a fit reads votes only (see ``ratings.features.of_vote``)."""
    place: Mapped[str | None] = mapped_column(String(16))
    """A keyed hash of the addresses it came from (see ``arena.integrity.marks``); forgotten after some weeks."""
    prompt_mark: Mapped[str | None] = mapped_column(String(16))
    """The same, by a keyed hash, for votes on the same prompts."""
    evidence: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """What the rules of ``arena.integrity`` go by (see ``noting.of_vote``). ``cleared``: an operator has said that it
    counts whatever they say."""
    judged: Mapped[bool] = mapped_column(default=True, server_default=true())
    """Whether those rules have been asked; False only between a vote and the records worker's look at it."""
    created_at: Mapped[datetime] = mapped_column(Moment, default=now)


class RatingSnapshot(Base):
    """One fit of the leaderboard. ``votes``: how many counted votes it saw; ``newest_vote``: the last one's id."""

    __tablename__ = "rating_snapshots"
    __table_args__ = (Index(None, "board", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    board: Mapped[str] = mapped_column(String(40), default="overall")
    created_at: Mapped[datetime] = mapped_column(Moment, default=now)
    votes: Mapped[int]
    newest_vote: Mapped[int]
    method: Mapped[str] = mapped_column(String(80))
    honesty: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """How far it can be trusted (see ``ratings.figures``); None on boards from before these were kept."""


class Rating(Base):
    """A model's row on one snapshot."""

    __tablename__ = "ratings"

    snapshot_id: Mapped[int] = mapped_column(ForeignKey("rating_snapshots.id", ondelete="CASCADE"), primary_key=True)
    model: Mapped[str] = mapped_column(String(64), primary_key=True)
    rank: Mapped[int]
    rating: Mapped[float]
    lower: Mapped[float]
    upper: Mapped[float]
    votes: Mapped[int]
    win_rate: Mapped[float]


RATED = tuple(column.key for column in Rating.__table__.columns if column.key != "snapshot_id")
"""Columns that say what the fit found of a model; a :class:`web.ratings.standings.Standing` has them, too."""


class PairCount(Base):
    """Counted votes on two models, as of the newest snapshot of the board ``overall``. ``model_a < model_b``."""

    __tablename__ = "pair_counts"
    __table_args__ = (Index(None, "model_b"),)

    model_a: Mapped[str] = mapped_column(String(64), primary_key=True)
    model_b: Mapped[str] = mapped_column(String(64), primary_key=True)
    wins_a: Mapped[int]
    wins_b: Mapped[int]
    ties: Mapped[int]
    both_bad: Mapped[int]
