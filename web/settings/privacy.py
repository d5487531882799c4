"""What is kept of what people and models wrote, and for how long; and which prompts are not taken."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings


class PrivacySettings(BaseSettings):
    """Part of :class:`web.settings.WebSettings`; every variable is prefixed ``ARENA_``."""

    retain_text_days: float | None = Field(default=None, gt=0)
    """Prompts, answers and comments older than this are deleted every night; votes stay. Default: kept for good."""
    purge_hour: int = Field(default=3, ge=0, le=23)
    """UTC hour after which the records worker deletes them; one that was off then does it when it is back."""
    store_text: Literal["always", "never"] = "always"
    """``never``: prompts, answers and comments are not written to the database at all."""
    contact: str = ""
    """Shown on the notice page: an address, or where else one reaches who runs this arena."""

    moderation: str = ""
    """``package.module:function`` that judges prompts instead of the built-in check (see ``web.moderation``)."""
    moderation_words: Path | None = None
    """File of words and phrases, one a line, whose prompts are refused."""
    moderation_repetition: int = Field(default=1000, ge=0)
    """One word or character repeated more often than this in a row is refused; 0: never."""
    moderation_max_chars: int = Field(default=200_000, ge=1)
    """Longest text that is looked at; more of it at once is refused."""
    moderation_timeout_s: float = Field(default=2.0, gt=0)
    """How long a function of one's own may think about a prompt."""
    moderation_on_error: Literal["closed", "open"] = "closed"
    """When it crashes or takes too long: ``closed`` refuses the prompt with 503, ``open`` lets it through."""
