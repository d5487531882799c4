"""The OpenAI-compatible API under ``/v1``."""

from __future__ import annotations

from pydantic_settings import BaseSettings


class OpenaiSettings(BaseSettings):
    """Part of :class:`web.settings.WebSettings`; every variable is prefixed ``ARENA_``."""
