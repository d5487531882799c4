"""Bodies of battles: what may be asked and chosen, turns, votes with their reasons, lists, shares."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from web.api.schemas import TEXT, WRITTEN, RevealedOut, SamplingIn, State, TurnOut, Winner, _In
from web.arena.history import EXCERPT

Reason = Literal[
    "useful",
    "complete",
    "creative",
    "clear_formatting",
    "incorrect",
    "superficial",
    "instructions_not_followed",
]
"""Why an answer was good or bad, in ComparIA's words."""
_PROMPT = "Why is the sky blue?"


class PromptIn(_In):
    prompt: str = Field(
        description="At most `ARENA_PROMPT_MAX_CHARS` characters (422 `prompt_too_long`).",
        examples=[_PROMPT],
        json_schema_extra=WRITTEN,
    )
    sampling: SamplingIn | None = None
    models: list[Annotated[str, Field(min_length=1, max_length=64)]] | None = Field(
        default=None,
        min_length=2,
        max_length=2,
        description="Two ids of `/api/models`, to compare these. A coin decides the sides; the vote never counts.",
    )


class TurnIn(_In):
    prompt: str = Field(
        description="As in a battle's first prompt.", examples=["And at sunset?"], json_schema_extra=WRITTEN
    )


class RetryIn(_In):
    side: Literal["a", "b"] | None = Field(
        default=None, description="A side that failed while the other ended well; left out: both.", examples=["a"]
    )


class BattleBegun(BaseModel):
    id: str = Field(examples=["Wb6RQlRVgVZJ6uN0B8pQ1g"])
    state: State
    ws: str = Field(examples=["/ws"])
    url: str = Field(examples=["/battles/Wb6RQlRVgVZJ6uN0B8pQ1g"])


class TurnBegun(BattleBegun):
    turn: int = Field(examples=[2])
    retry: int = Field(examples=[0])


class WhyIn(_In):
    """Reasons by side."""

    a: list[Reason] = Field(default=[], max_length=7, examples=[["useful", "complete"]])
    b: list[Reason] = Field(default=[], max_length=7, examples=[["superficial"]])


class RemarkIn(_In):
    """What stands beside a vote; what is left out stays as it is, null takes it away."""

    why: WhyIn | None = None
    comment: str | None = Field(
        default=None,
        description="At most `ARENA_COMMENT_MAX_CHARS` characters (422 `comment_too_long`). An arena that stores no "
        "texts keeps none.",
        examples=["B left out half of it."],
        json_schema_extra=TEXT,
    )


class VoteIn(RemarkIn):
    """The verdict; reasons and a comment may come with it or later."""

    winner: Winner


class WhyOut(BaseModel):
    a: list[Reason] = []
    b: list[Reason] = []


class RemarkOut(BaseModel):
    winner: Winner
    why: WhyOut | None
    comment: str | None


class ListIn(BaseModel):
    model_config = ConfigDict(extra="ignore")

    limit: int = Field(default=20, ge=1, le=100)
    cursor: str | None = Field(default=None, max_length=200, description="`next_cursor` of the page before.")


class NamedOut(BaseModel):
    id: str
    name: str


class NamesOut(BaseModel):
    a: NamedOut
    b: NamedOut


class EntryOut(BaseModel):
    id: str
    url: str
    created_at: str
    state: State
    votable: bool
    turns: int
    prompt: str = Field(
        description=f"How the first prompt begins, at most {EXCERPT} characters; empty when it is not stored.",
        examples=[_PROMPT],
    )
    winner: Winner | None
    models: NamesOut | None = Field(description="Only after the vote.")
    ranked: bool = Field(description="False where the asker named the pair.")
    share_id: str | None


class ListOut(BaseModel):
    battles: list[EntryOut]
    next_cursor: str | None = Field(description="Null on the last page.")


class ShareOut(BaseModel):
    share_id: str
    url: str = Field(examples=["/shared/hM3nJ0Yz1mB9r7d2Q5xk4A"])


class SharedOut(BaseModel):
    share_id: str
    created_at: str
    turns: list[TurnOut] = Field(description="The turns that were judged. Texts that were deleted are empty.")
    winner: Winner
    models: RevealedOut
