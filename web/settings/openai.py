"""The OpenAI-compatible API under ``/v1``."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings


class OpenaiSettings(BaseSettings):
    """Part of :class:`web.settings.WebSettings`; every variable is prefixed ``ARENA_``."""

    v1_open: bool = False
    """On ``ARENA_PRIVATE_PORT``, and only there, ``/v1`` asks for no key."""
    v1_deadline_s: float = Field(default=600.0, gt=0)
    """An answer that takes longer than this, its wait included, is given up with 504."""
    v1_prompt_max_chars: int = Field(default=100_000, ge=1)
    """All messages of a request together."""
    v1_cache_s: float = Field(default=0.0, ge=0)
    """How long an answer given at temperature 0 is kept for whoever asks exactly the same; 0: answers are not kept."""
    v1_cache_entries: int = Field(default=1000, ge=1)
    """Most answers kept at a time; those longest unused go first."""
