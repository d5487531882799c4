"""Bodies as they go over the wire, for validation and for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

State = Literal["queued", "running", "finished", "failed", "cancelled"]
Winner = Literal["a", "b", "tie", "both_bad"]


TEXT: dict[str, Any] = {"pattern": r"^[^\u0000]*$"}
"""For the document: text as databases can hold it. What is not is refused where it is stored, by a code of its own."""
WRITTEN: dict[str, Any] = {
    "minLength": 1,
    "pattern": r"^[^\u0000]*[^\s\u0000\u001c-\u001f\u0085][^\u0000]*$",
}
"""The same, with something to read in it."""


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class SamplingIn(_In):
    """The same for both sides; what is left out is each model's own default."""

    temperature: float | None = Field(default=None, ge=0, le=2, allow_inf_nan=False, examples=[0.7])
    top_p: float | None = Field(default=None, gt=0, le=1, allow_inf_nan=False, examples=[0.95])
    max_tokens: int | None = Field(
        default=None,
        ge=1,
        description="Longest answer: at most `ARENA_SAMPLING_MAX_TOKENS` (else 422 `sampling_refused`).",
        examples=[512],
    )
    seed: int | None = Field(default=None, ge=0, le=2**32 - 1, examples=[7])
    stop: list[Annotated[str, Field(min_length=1, max_length=64)]] | None = Field(
        default=None,
        max_length=4,
        description="An answer ends before the first of these. Refused where no texts are stored.",
        examples=[["\n\n"]],
    )


class FailureOut(BaseModel):
    code: str
    message: str
    retryable: bool


class SideOut(BaseModel):
    text: str
    status: Literal["waiting", "streaming", "done", "failed"]
    finish_reason: Literal["stop", "length", "cancelled", "failed"] | None
    error: FailureOut | None


class TurnOut(BaseModel):
    turn: int
    prompt: str = Field(description="Empty, as the answers are, when it is not stored, or no longer.")
    a: SideOut
    b: SideOut
    retry: int = Field(description="How often it was put in line anew, by whoever asked or before any word was said.")


class ModelFactsOut(BaseModel):
    id: str
    name: str
    maker: str
    licence: str
    terms_url: str
    parameters: str
    quantization: str
    completion_tokens: int | None
    tokens_per_s: float | None
    first_token_s: float | None
    rating: float | None


class RevealedOut(BaseModel):
    a: ModelFactsOut
    b: ModelFactsOut


class BattleOut(BaseModel):
    id: str
    created_at: str
    voted_at: str | None = Field(description="A board that was updated later has taken the vote up, if it counts.")
    ranked: bool = Field(description="False where the asker named the pair: its vote never counts.")
    state: State = Field(description="Of the newest turn.")
    turns: list[TurnOut]
    queued: dict[str, Any] | None
    loading: dict[str, Any] | None
    attempt: int
    votable: bool = Field(description="Also when only the newest turn failed: then the vote is about those before it.")
    winner: Winner | None
    models: RevealedOut | None
    error: FailureOut | None
    cancelled_by: Literal["user", "operator"] | None
    cancel_reason: str | None = Field(description="An operator's words.")


class VoteOut(BaseModel):
    winner: Winner
    models: RevealedOut


class StateOut(BaseModel):
    id: str
    state: State


class TicketOut(BaseModel):
    ticket: str
    expires_in_s: int
    ws: str


class HealthOut(BaseModel):
    status: Literal["healthy"]
    available_models: list[str]
    loaded_models: list[str] | None = Field(
        default=None, description="Only on the private listener or with the admin key."
    )


class ReadyOut(BaseModel):
    status: Literal["ready"]


PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "field": {"type": "string"},
    },
}
