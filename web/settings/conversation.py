"""Battles of more than one turn, and what an asker may choose about them."""

from __future__ import annotations

from pydantic_settings import BaseSettings


class ConversationSettings(BaseSettings):
    """Part of :class:`web.settings.WebSettings`; every variable is prefixed ``ARENA_``."""
