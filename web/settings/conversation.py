"""Battles of more than one turn, and what an asker may choose about them."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings


class ConversationSettings(BaseSettings):
    """Part of :class:`web.settings.WebSettings`; every variable is prefixed ``ARENA_``."""

    max_turns: int = Field(default=10, ge=1, le=500)
    """Prompts of one battle; failed ones count too. 1: no battle goes on after its first answers."""
    conversation_max_chars: int = Field(default=32_000, ge=1)
    """Characters of all prompts of one battle together."""
    max_retries: int = Field(default=3, ge=0, le=100)
    """How often one turn may be asked for again before the vote."""
    sampling_max_tokens: int = Field(default=4096, ge=1)
    """The longest answer that an asker may ask for; ``max_tokens`` and the catalog bound it further."""
    comment_max_chars: int = Field(default=1000, ge=0)
    """Longest comment on a vote; 0: no comments."""
