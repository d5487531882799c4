"""The tables. What people and models wrote is kept apart in ``texts``: it can be deleted while every vote, and all that
the ranking needs of the answers, stays.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    CheckConstraint,
    DateTime,
    Dialect,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)


class Moment(TypeDecorator[datetime]):
    """A point in time, always aware and in UTC, also on SQLite (which forgets the zone)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None or value.tzinfo is not None:
            return value
        return value.replace(tzinfo=UTC)


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)


class Battle(Base):
    """One person's comparison of two anonymous models. ``owner`` is a hash of the session that asked."""

    __tablename__ = "battles"
    __table_args__ = (
        CheckConstraint("state IN ('queued', 'running', 'finished', 'failed', 'cancelled')", name="state"),
        Index(None, "owner", "created_at"),
        Index(None, "state", "created_at"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    owner: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16), default="queued")
    votable: Mapped[bool] = mapped_column(default=False)
    """Both sides ended well; whether it was voted is ``voted_at``."""
    model_a: Mapped[str] = mapped_column(String(64))
    model_b: Mapped[str] = mapped_column(String(64))
    probability: Mapped[float]
    """That the policy draws this pair, whichever side each model is on; fixed before the battle is queued."""
    policy_version: Mapped[str] = mapped_column(String(40))
    turns: Mapped[int] = mapped_column(default=1)
    attempt: Mapped[int] = mapped_column(default=0)
    """The newest generation known of; 0 until a worker has claimed one."""
    created_at: Mapped[datetime] = mapped_column(Moment, default=now)
    started_at: Mapped[datetime | None] = mapped_column(Moment)
    finished_at: Mapped[datetime | None] = mapped_column(Moment)
    voted_at: Mapped[datetime | None] = mapped_column(Moment)
    cancelled_by: Mapped[str | None] = mapped_column(String(16))
    error: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))


class Turn(Base):
    """One prompt and its two answers."""

    __tablename__ = "turns"

    battle_id: Mapped[str] = mapped_column(ForeignKey("battles.id", ondelete="CASCADE"), primary_key=True)
    turn: Mapped[int] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(Moment, default=now)
    prompt_chars: Mapped[int]


class Answer(Base):
    """How one side ended a turn: everything but its words."""

    __tablename__ = "answers"
    __table_args__ = (
        ForeignKeyConstraint(["battle_id", "turn"], ["turns.battle_id", "turns.turn"], ondelete="CASCADE"),
        CheckConstraint("side IN ('a', 'b')", name="side"),
    )

    battle_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    turn: Mapped[int] = mapped_column(primary_key=True)
    side: Mapped[str] = mapped_column(String(1), primary_key=True)
    model: Mapped[str] = mapped_column(String(64), index=True)
    attempt: Mapped[int]
    finish_reason: Mapped[str] = mapped_column(String(16))
    prompt_tokens: Mapped[int]
    completion_tokens: Mapped[int]
    queued_s: Mapped[float]
    first_token_s: Mapped[float | None]
    duration_s: Mapped[float]
    style: Mapped[dict[str, Any]] = mapped_column(JSON)
    """Features of the text's form (see ``ratings.style``)."""
    error: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))


class Words(Base):
    """What was written: ``part`` is ``prompt``, ``a`` or ``b``. Rows may be gone."""

    __tablename__ = "texts"
    __table_args__ = (
        ForeignKeyConstraint(["battle_id", "turn"], ["turns.battle_id", "turns.turn"], ondelete="CASCADE"),
        CheckConstraint("part IN ('prompt', 'a', 'b')", name="part"),
    )

    battle_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    turn: Mapped[int] = mapped_column(primary_key=True)
    part: Mapped[str] = mapped_column(String(8), primary_key=True)
    content: Mapped[str] = mapped_column(Text)


class Vote(Base):
    """One judgement; at most one per battle, which the database itself enforces."""

    __tablename__ = "votes"
    __table_args__ = (
        UniqueConstraint("battle_id"),
        CheckConstraint("winner IN ('a', 'b', 'tie', 'both_bad')", name="winner"),
        Index(None, "counted", "model_a", "model_b"),
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
