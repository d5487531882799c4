"""What the catalog said of every model that ever took part: catalogs are edited, votes stay."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, String
from sqlalchemy.orm import Mapped, mapped_column

from web.models.base import Base, Moment, now


class KnownModel(Base):
    """A model as its newest catalog entry described it."""

    __tablename__ = "known_models"

    model: Mapped[str] = mapped_column(String(64), primary_key=True)
    facts: Mapped[dict[str, Any]] = mapped_column(JSON)
    """What people are told: name, maker, family and so on (see ``arena.catalogue``)."""
    weights: Mapped[str] = mapped_column(String(64))
    """A digest of what answers under its id."""
    first_seen_at: Mapped[datetime] = mapped_column(Moment, default=now)
    changed_at: Mapped[datetime | None] = mapped_column(Moment)
    """When that digest last became another; None: never since it was first seen."""
