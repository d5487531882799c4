"""Leaderboards, head-to-heads, histories and single models, as they go over the wire."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

MOST_ROWS = 500
MOST_SNAPSHOTS = 200
_MODEL = Field(examples=["qwen2.5-coder-0.5b"])
_NAME = Field(examples=["Qwen2.5 Coder 0.5B"])
_MOMENT = Field(examples=["2026-05-17T09:30:00+00:00"])
_CATEGORY = Field(default="overall", min_length=1, max_length=40, description="Which board; `overall` is of all votes.")


class _Query(BaseModel):
    model_config = ConfigDict(extra="forbid")


class BoardQuery(_Query):
    category: str = _CATEGORY
    limit: int = Field(default=MOST_ROWS, ge=1, le=MOST_ROWS, description="Most rows, best first.")


class HistoryQuery(_Query):
    category: str = _CATEGORY
    limit: int = Field(default=50, ge=1, le=MOST_SNAPSHOTS, description="Most snapshots, evenly spread over time.")
    model: str | None = Field(default=None, min_length=1, max_length=64, description="Only this model's rows.")


class BoardRow(BaseModel):
    model: str = _MODEL
    name: str = _NAME
    rank: int = Field(examples=[1])
    rating: float = Field(description="Elo scale around 1000.", examples=[1043.2])
    lower: float = Field(description="Of the 95 % interval.", examples=[1011.0])
    upper: float = Field(examples=[1075.4])
    votes: int = Field(description="Counted votes on battles it took part in.", examples=[212])
    win_rate: float = Field(description="Points won per battle, a tie being half a point.", examples=[0.5613])
    preliminary: bool = Field(description="Has fewer votes than a rating needs.", examples=[False])


class BoardOut(BaseModel):
    category: str = Field(examples=["overall"])
    categories: list[str] = Field(description="Boards there are.", examples=[["overall"]])
    votes: int = Field(description="Counted votes this board is made of.", examples=[318])
    models: list[BoardRow]
    updated_at: str | None = Field(description="None before the first vote.", examples=["2026-05-17T09:30:00+00:00"])


class PairOut(BaseModel):
    a: str = _MODEL
    b: str = Field(examples=["smollm2-135m"])
    games: int = Field(examples=[64])
    wins_a: int = Field(examples=[40])
    wins_b: int = Field(examples=[12])
    ties: int = Field(examples=[9])
    both_bad: int = Field(examples=[3])
    rate_a: float = Field(description="Points that a won per game, a tie being half a point.", examples=[0.7188])


class PairsOut(BaseModel):
    pairs: list[PairOut] = Field(description="`a` stands before `b` in the order of ids; it says nothing of sides.")
    votes: int = Field(examples=[64])
    updated_at: str | None = Field(examples=["2026-05-17T09:30:00+00:00"])


class PointOut(BaseModel):
    model: str = _MODEL
    rank: int = Field(examples=[1])
    rating: float = Field(examples=[1043.2])
    lower: float = Field(examples=[1011.0])
    upper: float = Field(examples=[1075.4])
    votes: int = Field(examples=[212])


class SnapshotOut(BaseModel):
    at: str = _MOMENT
    votes: int = Field(examples=[318])
    models: list[PointOut]


class HistoryOut(BaseModel):
    category: str = Field(examples=["overall"])
    snapshots: list[SnapshotOut] = Field(description="Oldest first; the newest is the board as it is.")


class ModelOut(BaseModel):
    id: str = _MODEL
    name: str = _NAME
    maker: str = Field(examples=["Alibaba"])
    family: str = Field(examples=["qwen2.5"])
    licence: str = Field(examples=["Apache-2.0"])
    licence_url: str = Field(examples=["https://www.apache.org/licenses/LICENSE-2.0"])
    terms: str = Field(examples=[""])
    parameters: str = Field(examples=["0.5B"])
    precision: str = Field(examples=["bf16"])


class ModelsOut(BaseModel):
    models: list[ModelOut]


class StandingOut(PointOut):
    category: str = Field(examples=["overall"])
    win_rate: float = Field(examples=[0.5613])
    preliminary: bool = Field(examples=[False])


class OpponentOut(BaseModel):
    model: str = Field(examples=["smollm2-135m"])
    name: str = Field(examples=["SmolLM2 135M"])
    games: int = Field(examples=[64])
    won: int = Field(examples=[40])
    lost: int = Field(examples=[12])
    ties: int = Field(examples=[9])
    both_bad: int = Field(examples=[3])
    rate: float = Field(description="Points won per game, a tie being half a point.", examples=[0.7188])


class RecordOut(BaseModel):
    games: int = Field(examples=[64])
    won: int = Field(examples=[40])
    lost: int = Field(examples=[12])
    ties: int = Field(examples=[9])
    both_bad: int = Field(examples=[3])


class ModelPageOut(ModelOut):
    competing: bool = Field(description="Whether battles are drawn with it now.", examples=[True])
    record: RecordOut = Field(description="All counted votes on its battles.")
    standings: list[StandingOut] = Field(description="Its row on the newest board of every category it is on.")
    opponents: list[OpponentOut] = Field(description="Most met first.")
