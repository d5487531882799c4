"""Which pairs meet: the policy, and what it is told."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode


class SamplingSettings(BaseSettings):
    """Part of :class:`web.settings.WebSettings`; every variable is prefixed ``ARENA_``."""

    sampling: Literal["uniform", "weighted", "active", "residency"] = "residency"
    """``residency`` prefers pairs whose engines are in memory; ``active`` those that would narrow the board most;
    ``weighted`` goes by the catalog's weights and the boosts alone; ``uniform`` by nothing."""
    sampling_base: Literal["uniform", "weighted", "active"] = "weighted"
    """What ``residency`` shares battles out by in the long run."""
    sampling_floor: float = Field(default=0.01, gt=0, le=1)
    """Of ``residency``: the share of battles drawn by the base alone; of ``active``: the share drawn uniformly."""
    sampling_stay: float = Field(default=40.0, ge=0)
    """Of ``residency``: battles of a pair, on average, before memory moves to the next. 0: no rounds; pairs in memory
    go on until a battle of another pair displaces them."""
    sampling_memory: int = Field(default=1, ge=0, le=20)
    """Of ``residency``: the pairs of this many of the asker's newest votes are not favoured, so that whoever has just
    read two names does not know the next two. It costs switches while few people are there."""
    sampling_boosts: Annotated[dict[str, float], NoDecode] = {}
    """``model=factor,...``: multiplies catalog weights."""
    sampling_outages: Annotated[tuple[str, ...], NoDecode] = ()
    """Models that take no part for now, whatever the catalog says."""
    sampling_newcomer: float = Field(default=1.0, ge=1)
    """A model's weight is multiplied by this at its first vote, falling to 1 at ``sampling_ramp`` counted votes."""
    sampling_ramp: int = Field(default=0, ge=0)
    sampling_rest_after: int = Field(default=3, ge=1)
    """Battles in a row that a model's failure to start has ended, before it takes no part for ``sampling_rest_s``."""
    sampling_rest_s: float = Field(default=120.0, ge=0)
    sampling_redraws: int = Field(default=2, ge=0, le=4)
    """How often a battle that failed before anything of it was shown is given another pair."""

    @field_validator("sampling_boosts", mode="before")
    @classmethod
    def _factors(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        pairs = [part.rpartition("=") for part in value.split(",") if part.strip()]
        return {model.strip(): factor.strip() for model, _, factor in pairs}

    @field_validator("sampling_boosts")
    @classmethod
    def _positive(cls, value: dict[str, float]) -> dict[str, float]:
        for model, factor in value.items():
            if not model or not 0 < factor < 1e6:
                raise ValueError(f"{model or 'a model'}: write model=factor, the factor above 0 and below a million")
        return value

    @field_validator("sampling_outages", mode="before")
    @classmethod
    def _named(cls, value: object) -> object:
        return tuple(m.strip() for m in value.split(",") if m.strip()) if isinstance(value, str) else value
