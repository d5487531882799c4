"""What is kept of what people and models wrote, and for how long."""

from __future__ import annotations

from pydantic_settings import BaseSettings


class PrivacySettings(BaseSettings):
    """Part of :class:`web.settings.WebSettings`; every variable is prefixed ``ARENA_``."""
