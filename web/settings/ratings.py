"""How votes become leaderboards."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings


class RatingSettings(BaseSettings):
    """Part of :class:`web.settings.WebSettings`; every variable is prefixed ``ARENA_``."""

    rating_prior: float = Field(default=0.1, gt=0, allow_inf_nan=False)
    """Precision of the ratings' prior; it weighs as much as ``4 x prior`` ties with an average model."""
    rating_pause_s: float = Field(default=1.0, ge=0)
    """Votes that arrive closer together than this share one refresh of the leaderboard."""
    rating_weights: Literal["auto", "none", "propensity", "realised"] = "auto"
    """How votes make up for pairs that were drawn more often than others: each pair the same say (``realised``), each
    vote by the probability it was drawn with (``propensity``), or not at all; ``auto`` is ``realised`` when pairs were
    drawn unevenly."""
    rating_both_bad: Literal["tie", "drop"] = "tie"
    """Whether a vote for "both are bad" is a tie, or no game."""
    rating_order: Literal["rating", "lower"] = "rating"
    """What ranks go by: the rating, or the lower bound of its interval."""
    export_delay_days: int = Field(default=7, ge=0)
    """Votes are published this many whole days after they were cast: nobody can watch their own appear. 0: at once."""
    export_salt: SecretStr | None = None
    """Makes the ids in exports; default: from the secret key. With another one nobody can join old exports to new."""
    board_min_votes: int = Field(default=30, ge=1)
    """Boards of a language, of code, mathematics and so on appear from this many counted votes on."""
