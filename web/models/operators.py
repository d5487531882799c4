"""What operators hand out, decide and did: keys, models taken out, sessions set apart, and who did it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from web.models.base import Base, Moment, now


class ApiKey(Base):
    """A key for programs. Of its secret only a digest is kept. ``id`` is public: it is the key's first part."""

    __tablename__ = "api_keys"
    __table_args__ = (UniqueConstraint("digest"),)

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    digest: Mapped[str] = mapped_column(String(64))
    scopes: Mapped[list[str]] = mapped_column(JSON)
    limits: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    """What this key may do more or less often than others; see ``web.limits``."""
    created_at: Mapped[datetime] = mapped_column(Moment, default=now)
    last_used_at: Mapped[datetime | None] = mapped_column(Moment)
    """To the hour or so: not written at every request."""
    revoked_at: Mapped[datetime | None] = mapped_column(Moment)


class ModelState(Base):
    """What an operator said of a model. No row: it takes part."""

    __tablename__ = "model_states"

    model: Mapped[str] = mapped_column(String(64), primary_key=True)
    enabled: Mapped[bool] = mapped_column(default=True)
    out_until: Mapped[datetime | None] = mapped_column(Moment)
    """Takes no part before this moment, however ``enabled``."""
    reason: Mapped[str] = mapped_column(String(200), default="")
    changed_at: Mapped[datetime] = mapped_column(Moment, default=now)


class Quarantine(Base):
    """A session whose votes do not count. ``owner`` is the session's hash. Released ones stay, for the record."""

    __tablename__ = "quarantines"

    owner: Mapped[str] = mapped_column(String(64), primary_key=True)
    reason: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(Moment, default=now)
    released_at: Mapped[datetime | None] = mapped_column(Moment)
    by: Mapped[str] = mapped_column(String(80), default="", server_default="")
    """Who set it apart: a key's id, or ``automatic``."""
    released_by: Mapped[str | None] = mapped_column(String(80))
    """Who released it last: what an operator released is never set apart automatically again."""


class AuditLine(Base):
    """One thing an operator did to what the database holds. What they did to engines is in ``contract.audit``."""

    __tablename__ = "audit"
    __table_args__ = (Index(None, "at"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(Moment, default=now)
    by: Mapped[str] = mapped_column(String(80))
    action: Mapped[str] = mapped_column(String(40))
    target: Mapped[str] = mapped_column(String(80))
    reason: Mapped[str] = mapped_column(String(200), default="")
