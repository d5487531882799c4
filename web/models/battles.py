"""Battles and what was said in them. What people and models wrote is kept apart in ``texts``: it can be deleted while
every vote, and all that the ranking needs of the answers, stays.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from web.models.base import Base, Moment, now


class Battle(Base):
    """One person's comparison of two anonymous models. ``owner`` is a hash of the session that asked."""

    __tablename__ = "battles"
    __table_args__ = (
        CheckConstraint("state IN ('queued', 'running', 'finished', 'failed', 'cancelled')", name="state"),
        Index(None, "owner", "created_at"),
        Index(None, "owner", "state", "batch_id"),
        Index(None, "state", "created_at"),
        Index(None, "batch_id"),
        UniqueConstraint("share_id"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    owner: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16), default="queued")
    """Of the newest turn."""
    votable: Mapped[bool] = mapped_column(default=False)
    """No turn is being answered, and one at least ended well; whether it was voted is ``voted_at``."""
    model_a: Mapped[str] = mapped_column(String(64))
    model_b: Mapped[str] = mapped_column(String(64))
    probability: Mapped[float]
    """That the policy draws this pair, whichever side each model is on; fixed before the battle is queued."""
    policy_version: Mapped[str] = mapped_column(String(40))
    ranked: Mapped[bool] = mapped_column(default=True)
    """False when the asker chose the pair: its vote is kept and shown to them, and never counts."""
    sampling: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """What the asker set, the same for both sides; None: each model's own defaults."""
    turns: Mapped[int] = mapped_column(default=1)
    attempt: Mapped[int] = mapped_column(default=0)
    """The newest generation known of; 0 until a worker has claimed one."""
    created_at: Mapped[datetime] = mapped_column(Moment, default=now)
    started_at: Mapped[datetime | None] = mapped_column(Moment)
    finished_at: Mapped[datetime | None] = mapped_column(Moment)
    voted_at: Mapped[datetime | None] = mapped_column(Moment)
    cancelled_by: Mapped[str | None] = mapped_column(String(16))
    cancel_reason: Mapped[str | None] = mapped_column(String(200))
    """An operator's words to whoever asked."""
    error: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    share_id: Mapped[str | None] = mapped_column(String(40))
    """Under which anybody may read it; set by its owner, after the vote."""
    batch_id: Mapped[str | None] = mapped_column(ForeignKey("batches.id"))
    deleted_at: Mapped[datetime | None] = mapped_column(Moment)
    """Its owner deleted it: its texts are gone, a word that leads nowhere stands for ``owner`` (see arena.deletion)."""


class Turn(Base):
    """One prompt and its two answers. ``created_at`` is when it was first asked, ``asked_at`` when last."""

    __tablename__ = "turns"

    battle_id: Mapped[str] = mapped_column(ForeignKey("battles.id", ondelete="CASCADE"), primary_key=True)
    turn: Mapped[int] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(Moment, default=now)
    asked_at: Mapped[datetime] = mapped_column(Moment, default=now)
    prompt_chars: Mapped[int]
    features: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """What kind of prompt it is (see ``arena.integrity.noting.of_prompt``); taken when asked, it outlives the words."""
    votable: Mapped[bool] = mapped_column(default=False)
    """Both its answers ended well: the vote is about it, and later turns are told of it."""
    retries: Mapped[int] = mapped_column(default=0)
    """How often it was put in line anew, whoever wanted that; jobs and results are told apart by it."""
    redraws: Mapped[int] = mapped_column(default=0)
    """How many of these the arena itself made, with another pair, since one could not begin."""
    trying: Mapped[str] = mapped_column(String(2), default="ab")
    """The sides that were last asked for; the other one's answer stands from before."""
    before: Mapped[int] = mapped_column(default=0)
    """The battle's attempts up to this one served earlier turns and retries."""

    @property
    def asked_again(self) -> int:
        """How often its asker had it answered anew."""
        return self.retries - self.redraws


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
    leaks: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    """Its own model's names that it says (see ``arena.integrity.leak``)."""


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


class Batch(Base):
    """Many prompts at once, by a researcher."""

    __tablename__ = "batches"
    __table_args__ = (Index(None, "owner", "created_at"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    owner: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(200), default="")
    size: Mapped[int]
    sampling: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """What all its battles are asked with, as in :class:`Battle`."""
    models: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    """The pair that was asked for; its battles are then not ranked. None: each battle draws its own."""
    created_at: Mapped[datetime] = mapped_column(Moment, default=now)
    cancelled_at: Mapped[datetime | None] = mapped_column(Moment)


class BatchItem(Base):
    """One prompt of a batch. ``prompt`` moves to the battle's texts when its battle begins."""

    __tablename__ = "batch_items"
    __table_args__ = (
        Index(None, "battle_id"),
        Index(
            "ix_batch_items_waiting",
            "batch_id",
            "number",
            sqlite_where=text("prompt IS NOT NULL"),
            postgresql_where=text("prompt IS NOT NULL"),
        ),
    )

    batch_id: Mapped[str] = mapped_column(ForeignKey("batches.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    prompt: Mapped[str | None] = mapped_column(Text)
    battle_id: Mapped[str | None] = mapped_column(ForeignKey("battles.id", ondelete="SET NULL"))
    error: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
