"""What stands before a first battle."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class ChallengeDetail(BaseModel):
    """Of the built-in kind; a guard of the operator's own has members of its own."""

    model_config = ConfigDict(extra="allow")

    kind: str = Field(examples=["proof_of_work"])
    seed: str | None = Field(default=None, examples=["q0Yx0iJY3q3mX4C0q9oQvA"])
    difficulty: int | None = Field(default=None, examples=[17])
    """Leading zero bits that SHA-256 of ``<seed>.<number>`` must have."""
    token: str | None = None
    expires_in_s: int | None = Field(default=None, examples=[300])


class ChallengeOut(BaseModel):
    """``challenge``: what to answer before the next battle; null when nothing stands before it."""

    challenge: ChallengeDetail | None = None
