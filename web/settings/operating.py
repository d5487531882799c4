"""How the web side is run and watched."""

from __future__ import annotations

from pydantic_settings import BaseSettings


class OperatingSettings(BaseSettings):
    """Part of :class:`web.settings.WebSettings`; every variable is prefixed ``ARENA_``."""
