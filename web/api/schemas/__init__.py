"""Bodies as they go over the wire, for validation and for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

State = Literal["queued", "running", "finished", "failed", "cancelled"]
Winner = Literal["a", "b", "tie", "both_bad"]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class PromptIn(_In):
    prompt: str


class VoteIn(_In):
    winner: Winner


class BattleBegun(BaseModel):
    id: str
    state: State
    ws: str
    url: str


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
    prompt: str
    a: SideOut
    b: SideOut


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
    state: State
    turns: list[TurnOut]
    queued: dict[str, Any] | None
    loading: dict[str, Any] | None
    attempt: int
    votable: bool
    winner: Winner | None
    models: RevealedOut | None
    error: FailureOut | None
    cancelled_by: Literal["user", "operator"] | None


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
