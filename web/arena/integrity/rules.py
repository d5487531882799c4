"""The numbers that all rules go by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from web.settings.integrity import IntegritySettings

LEAK, TOO_FAST, DUPLICATE, RING, BURST = "leak", "too_fast", "duplicate", "ring", "burst"
OF_VOTES = (LEAK, TOO_FAST, DUPLICATE, RING, BURST)
"""Reasons against single votes that the rules put there and take away."""
AUTOMATIC = "automatic"
"""Who set a session apart when no operator did."""
CLEARED = "cleared"
"""Of a vote's evidence: an operator has said that it counts."""
Leaks = Literal["exclude", "mark"]


@dataclass(frozen=True, slots=True)
class Rules:
    """See :class:`web.settings.integrity.IntegritySettings` for those that are settings.

    ``known``: decided votes a model must have before a voter's are compared with what all say of it. ``sure``: the
    probability, given that there is a ring, from which a voter is part of it. ``many``: votes on one model that a voter
    must have to be looked for in a ring. ``drift``, ``jump``: what a burst's win rate may and must differ by, logits.
    ``hands``: votes of one voter that a burst is made of, at most.
    """

    alpha: float = 0.001
    tolerance: float = 0.7
    leak: Leaks = "exclude"
    words_per_minute: float = 1500.0
    repeats: int = 1
    prompt_most: int = 100
    known: int = 50
    sure: float = 0.9
    many: int = 4
    drift: float = 0.3
    jump: float = 0.8
    hands: int = 5


def rules_of(settings: IntegritySettings) -> Rules:
    """As the settings say."""
    return Rules(
        alpha=settings.integrity_alpha,
        tolerance=settings.integrity_tolerance,
        leak=settings.integrity_leak,
        words_per_minute=settings.integrity_wpm,
        repeats=settings.integrity_repeats,
        prompt_most=settings.integrity_prompt_most,
    )
