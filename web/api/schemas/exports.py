"""Open data, as it goes over the wire: each line of the JSON lines; CSV and Parquet have the same columns."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from web.api.schemas.leaderboard import CATEGORY

_STYLE = Field(description="Of all its answers.", examples=[{"tokens": 120, "headers": 0, "list_items": 3, "bold": 1}])
_DAY = Field(description="UTC; that is all that is told of the moment.", examples=["2026-05-17"])
_PII = Field(description="A prompt seems to hold somebody's data; None where nobody looked.", examples=[False])


class _Query(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RowsQuery(_Query):
    format: Literal["jsonl", "csv", "parquet"] = Field(
        default="jsonl", description="`parquet` where the server has the package for it."
    )


class BoardExportQuery(_Query):
    format: Literal["json", "jsonl", "csv", "parquet"] = Field(
        default="json", description="`json` is what `python -m web.ratings --json` prints."
    )
    category: str = CATEGORY


class VoteLine(BaseModel):
    vote: str = Field(description="A keyed hash; leads nowhere.", examples=["1f0c4b8a7d2e6f93"])
    model_a: str = Field(examples=["qwen2.5-coder-0.5b"])
    model_b: str = Field(examples=["smollm2-135m"])
    winner: Literal["model_a", "model_b", "tie", "tie (bothbad)"]
    voter: str = Field(description="The same for all votes of one voter.", examples=["9a51d0c2be7f4386"])
    day: str = _DAY
    counted: bool = Field(examples=[True])
    reasons: list[str] = Field(description="Why it does not count.", examples=[[]])
    probability: float | None = Field(description="With which the pair was drawn.", examples=[0.1667])
    policy: str = Field(examples=["residency-1"])
    turns: int = Field(examples=[1])
    boards: list[str] = Field(examples=[["language_en"]])
    style_a: dict[str, Any] | None = _STYLE
    style_b: dict[str, Any] | None = _STYLE
    pii: bool | None = _PII


class BattleLine(BaseModel):
    battle: str = Field(description="A keyed hash; its vote, if there is one, has the same.")
    model_a: str = Field(examples=["qwen2.5-coder-0.5b"])
    model_b: str = Field(examples=["smollm2-135m"])
    voter: str = Field(examples=["9a51d0c2be7f4386"])
    day: str = _DAY
    state: Literal["finished", "failed", "cancelled"]
    voted: bool = Field(examples=[True])
    ranked: bool = Field(description="False when the asker chose the pair.", examples=[True])
    probability: float = Field(examples=[0.1667])
    policy: str = Field(examples=["residency-1"])
    turns: int = Field(examples=[1])
    finish_a: str | None = Field(description="How its newest answer ended.", examples=["stop"])
    finish_b: str | None = Field(examples=["length"])
    tokens_a: int | None = Field(description="Of all its answers.", examples=[120])
    tokens_b: int | None = Field(examples=[98])
    pii: bool | None = _PII
