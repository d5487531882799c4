"""Batches as they go over the wire."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from web.api.schemas import TEXT, WRITTEN, SamplingIn, State, Winner

_NAME = Field(
    default="", max_length=200, description="For yourself.", examples=["arithmetic, take two"], json_schema_extra=TEXT
)


class BatchIn(BaseModel):
    """Prompts in the order in which their battles begin."""

    model_config = ConfigDict(extra="forbid", strict=True)

    prompts: list[Annotated[str, Field(json_schema_extra=WRITTEN)]] = Field(
        min_length=1, examples=[["Why is the sky blue?", "Write a haiku about queues."]]
    )
    name: str = _NAME
    sampling: SamplingIn | None = Field(default=None, description="For both sides of every battle.")
    models: list[Annotated[str, Field(min_length=1, max_length=64)]] | None = Field(
        default=None,
        min_length=2,
        max_length=2,
        description="Let these two meet in every battle, on sides by chance. Votes on such battles never count.",
    )


class BatchQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(default="", max_length=200, description="For a body that is lines; JSON has its own.")


class BatchesQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: int = Field(default=20, ge=1, le=100)
    cursor: str | None = Field(default=None, max_length=100, description="`next_cursor` of the page before.")


class ResultsQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    after: int = Field(default=0, ge=0, le=1_000_000_000, description="Begin after the item with this number.")


class CountsOut(BaseModel):
    waiting: int = Field(description="Not begun yet.", examples=[188])
    queued: int = Field(examples=[2])
    running: int = Field(examples=[2])
    finished: int = Field(examples=[7])
    failed: int = Field(examples=[1])
    cancelled: int = Field(examples=[0])


class BatchOut(BaseModel):
    id: str = Field(examples=["f0bYpWq3S1mJ7w2kQm4l1A"])
    name: str = Field(examples=["arithmetic, take two"])
    state: Literal["running", "finished", "cancelled"]
    size: int = Field(examples=[200])
    counts: CountsOut = Field(description="Items by what became of them; they add up to `size`.")
    voted: int = Field(examples=[3])
    created_at: str = Field(examples=["2026-05-17T09:30:00+00:00"])
    results: str = Field(examples=["/api/batches/f0bYpWq3S1mJ7w2kQm4l1A/results"])


class BatchesOut(BaseModel):
    batches: list[BatchOut] = Field(description="Newest first.")
    next_cursor: str | None = Field(description="Of the next page; null on the last one.", examples=[None])


class ResultSide(BaseModel):
    text: str | None = Field(description="Null when it has been deleted.", examples=["Because ..."])
    finish_reason: Literal["stop", "length", "cancelled", "failed"]


class ResultModels(BaseModel):
    a: str = Field(examples=["qwen2.5-coder-0.5b"])
    b: str = Field(examples=["smollm2-135m"])


class ResultLine(BaseModel):
    """One line of a batch's results."""

    number: int = Field(description="Of the prompt, from 1.", examples=[1])
    battle: str | None = Field(description="Vote on it as on any battle.", examples=["kP3q0b2nQyWkq1xw2n0aBg"])
    state: Literal["waiting"] | State
    prompt: str | None = Field(examples=["Why is the sky blue?"])
    a: ResultSide | None
    b: ResultSide | None
    winner: Winner | None
    models: ResultModels | None = Field(description="After the vote; if the batch named its pair, after the battle.")
    error: dict[str, Any] | None = Field(examples=[None])
