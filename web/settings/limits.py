"""How often anybody may do what, and what stands before a first battle."""

from __future__ import annotations

from pydantic_settings import BaseSettings


class LimitSettings(BaseSettings):
    """Part of :class:`web.settings.WebSettings`; every variable is prefixed ``ARENA_``."""
