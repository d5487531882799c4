"""Leaderboards, head-to-heads, histories and single models, as they go over the wire."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

MOST_ROWS = 500
MOST_SNAPSHOTS = 200
_MODEL = Field(examples=["qwen2.5-coder-0.5b"])
_NAME = Field(examples=["Qwen2.5 Coder 0.5B"])
_MOMENT = Field(examples=["2026-05-17T09:30:00+00:00"])
CATEGORY = Field(default="overall", min_length=1, max_length=40, description="Which board; `overall` is of all votes.")


class _Query(BaseModel):
    model_config = ConfigDict(extra="forbid")


class BoardQuery(_Query):
    category: str = CATEGORY
    limit: int = Field(default=MOST_ROWS, ge=1, le=MOST_ROWS, description="Most rows, best first.")


class HistoryQuery(_Query):
    category: str = CATEGORY
    limit: int = Field(default=50, ge=1, le=MOST_SNAPSHOTS, description="Most snapshots, evenly spread over time.")
    model: str | None = Field(default=None, min_length=1, max_length=64, description="Only this model's rows.")


class PointOut(BaseModel):
    model: str = _MODEL
    rank: int = Field(examples=[1])
    rating: float = Field(description="Elo scale around 1000.", examples=[1043.2])
    lower: float = Field(description="Of the 95 % interval.", examples=[1011.0])
    upper: float = Field(examples=[1075.4])
    votes: int = Field(description="Counted votes on battles it took part in.", examples=[212])


class BoardRow(PointOut):
    name: str = _NAME
    win_rate: float = Field(description="Points won per battle, a tie being half a point.", examples=[0.5613])
    preliminary: bool = Field(description="Has fewer votes than a rating needs.", examples=[False])
    best_rank: int = Field(description="One more than the models that are surely above.", examples=[1])
    worst_rank: int = Field(description="The rank that leaves only those below that surely are.", examples=[2])
    maker: str = Field(description="Empty when nobody remembers.", examples=["Alibaba Cloud"])
    family: str = Field(examples=["qwen2.5"])
    precision: str = Field(description="Of its weights, in words.", examples=["4-bit AWQ"])
    retired: bool = Field(description="Takes part no more; its votes stay, and so does its row.", examples=[False])
    variant_of: str | None = Field(description="The model it is a variant of, by its catalog entry.", examples=[None])
    variants: list[str] = Field(
        description="Other models on the board that are the same model otherwise packed: of the same family and "
        "number of parameters, or variants of one another.",
        examples=[[]],
    )
    changed_at: str | None = Field(
        description="When other weights began to answer under this id; its older votes are about those before.",
        examples=[None],
    )


class FlipOut(BaseModel):
    top: str = _MODEL
    rival: str = Field(description="Who would be first.", examples=["smollm2-135m"])
    votes: int = Field(description="So few votes removed would do.", examples=[9])
    share: float = Field(description="Of all counted votes.", examples=[0.0283])
    confirmed: bool = Field(description="Seen in a fit without them, and not only by the approximation.")
    method: str = Field(examples=["AMIP"])


class CoverageOut(BaseModel):
    met: int = Field(description="Pairs of models with a counted vote.", examples=[3])
    possible: int = Field(examples=[3])
    fewest: int = Field(description="Votes on the pair with the fewest.", examples=[41])
    median: float = Field(examples=[104.0])


class PositionOut(BaseModel):
    share: float = Field(description="Of the votes with a winner, those for side A; 0.5 is no bias.", examples=[0.512])
    low: float = Field(description="Of the 95 % interval.", examples=[0.455])
    high: float = Field(examples=[0.568])
    votes: int = Field(examples=[287])


class AgreementOut(BaseModel):
    pairwise: float | None = Field(
        description="Chance that two voters say the same of one pair of models; None: nothing was judged twice.",
        examples=[0.61],
    )
    alpha: float | None = Field(description="Krippendorff's; 0 is as by chance, 1 always.", examples=[0.22])
    things: int = Field(description="Pairs that two or more people judged.", examples=[3])


class HonestyOut(BaseModel):
    votes: int = Field(description="Counted votes these figures are of; at times a few fewer than the board's.")
    flip: FlipOut | None = Field(description="The smallest set of votes found that holds the first place up.")
    coverage: CoverageOut
    position: PositionOut
    agreement: AgreementOut
    excluded: dict[str, int] = Field(
        description="Votes that do not count, by reason; with two reasons, twice.", examples=[{"leaked": 2}]
    )


class BoardOut(BaseModel):
    category: str = Field(examples=["overall"])
    categories: list[str] = Field(description="Boards there are.", examples=[["overall"]])
    votes: int = Field(description="Counted votes this board is made of.", examples=[318])
    models: list[BoardRow]
    updated_at: str | None = Field(description="None before the first vote.", examples=["2026-05-17T09:30:00+00:00"])
    honesty: HonestyOut | None = Field(description="How far it can be trusted; None before the first vote.")


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
