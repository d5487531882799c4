"""Which votes do not count, without anybody having said so."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings


class IntegritySettings(BaseSettings):
    """Part of :class:`web.settings.WebSettings`; every variable is prefixed ``ARENA_``."""

    integrity: Literal["on", "off"] = "on"
    """``off``: every vote counts that no operator took out. Facts about votes are noted all the same."""
    integrity_leak: Literal["exclude", "mark"] = "exclude"
    """A vote on answers of which one named its own model: does not count, or counts and is only marked."""
    integrity_wpm: float = Field(default=1500.0, ge=0)
    """Words a minute beyond which nobody reads the shorter answer; sooner votes do not count. 0: never too soon."""
    integrity_repeats: int = Field(default=1, ge=0)
    """Votes of one voter on the same prompt and pair that count. 0: all."""
    integrity_prompt_most: int = Field(default=100, ge=0)
    """Votes on the same prompt, whoever asks, that count; a hundredth of all votes always may. 0: all."""
    integrity_alpha: float = Field(default=0.001, gt=0, lt=0.5)
    """The chance at which a voter with honest tastes is set apart, whatever number of votes they cast."""
    integrity_tolerance: float = Field(default=0.7, ge=0, le=5)
    """How much better than all others say an honest voter may find a model: 0.7 is odds of two to one, 120 points."""
    integrity_days: int = Field(default=30, ge=1)
    """Votes this old are judged no more, and the hash of where they came from is forgotten."""
    integrity_pass_votes: int = Field(default=500, ge=1)
    """After so many new votes all are judged together again; it is done every night whatever their number."""
