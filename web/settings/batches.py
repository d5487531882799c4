"""Many prompts at once: how many, how large, and how much of the line they may take."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings


class BatchSettings(BaseSettings):
    """Part of :class:`web.settings.WebSettings`; every variable is prefixed ``ARENA_``."""

    batch_max_prompts: int = Field(default=1000, ge=1)
    batch_max_bytes: int = Field(default=8 << 20, ge=1024)
    """Of a batch's request body."""
    batches_open: int = Field(default=4, ge=1)
    """Unfinished batches of one key."""
    batch_in_flight: int = Field(default=4, ge=1)
    """Battles of one batch that are in line or being answered at the same time."""
    batch_room: float = Field(default=0.5, gt=0, le=1)
    """Batches put battles in line only while less than this share of the line is taken: the rest is for people."""
