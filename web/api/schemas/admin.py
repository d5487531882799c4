"""Bodies of ``/api/admin``."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

ID_MAX = 2**31 - 1
"""The greatest id a vote can have."""


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must be one line of printable characters")
    return text


Reason = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_printable)]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Query(BaseModel):
    model_config = ConfigDict(extra="ignore")


class SignInIn(_In):
    key: str = Field(min_length=1, max_length=200, description="A key with scope `admin`.")


class OperatorOut(BaseModel):
    id: str
    name: str


class WhoOut(BaseModel):
    operator: OperatorOut | None


class ReasonIn(_In):
    reason: Reason = Field(description="Kept in the audit log.")


class TimeOutIn(_In):
    seconds: int = Field(ge=1, le=365 * 24 * 3600)
    reason: Reason


class SleepIn(_In):
    tier: Literal["l1", "l2"] = "l1"


class CapacityIn(_In):
    capacity: int = Field(ge=0, le=1000)


class WorkerQuery(_Query):
    worker: str | None = Field(default=None, max_length=200, description="Only this one; all when left out.")


class OperationsQuery(WorkerQuery):
    which: str = Field(default="", max_length=20, description="An operation's id, or how many of the latest.")


class WorkersOut(BaseModel):
    workers: dict[str, dict[str, Any]] = Field(description="By worker: what `celery -A worker inspect` shows.")


class AnswerOut(BaseModel):
    worker: str
    ok: str | None = None
    operation: str | None = Field(default=None, description="To be looked up in `/api/admin/operations`.")
    error: str | None = None


class AnswersOut(BaseModel):
    answers: list[AnswerOut]


class StandingOut(BaseModel):
    id: str
    name: str
    takes_part: bool
    enabled: bool
    out_until: datetime | None
    reason: str
    changed_at: datetime | None


class StandingsOut(BaseModel):
    models: list[StandingOut]
    catalog_refused: str = Field(
        description="Why the catalog file is not used as it is now, but as it last was good. Empty: it is used.",
        examples=[""],
    )


class PageQuery(_Query):
    limit: int = Field(default=50, ge=1, le=200)
    cursor: int | None = Field(default=None, ge=1, le=ID_MAX, description="`next` of the page before.")


class VotesQuery(PageQuery):
    owner: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    counted: bool | None = None


class VoteRow(BaseModel):
    id: int
    battle_id: str
    owner: str
    winner: Literal["a", "b", "tie", "both_bad"]
    model_a: str
    model_b: str
    counted: bool
    reasons: list[str]
    created_at: datetime


class VotesOut(BaseModel):
    votes: list[VoteRow]
    next: int | None


class SessionsQuery(PageQuery):
    quarantined: bool = Field(default=False, description="Only those that are set apart: one page, latest first.")


class SessionRow(BaseModel):
    owner: str = Field(description="A hash of the session, or of the key.")
    votes: int
    counted: int
    newest_vote_at: datetime | None
    quarantined_at: datetime | None
    quarantined_by: str = Field(description="A key's id, or `automatic`; empty when it is not set apart.")
    reason: str


class SessionsOut(BaseModel):
    sessions: list[SessionRow]
    next: int | None


class SessionChangedOut(BaseModel):
    owner: str
    votes: int = Field(description="How many votes this took out of the count, or put back.")


class AuditQuery(_Query):
    limit: int = Field(default=50, ge=1, le=200)
    cursor: str | None = Field(default=None, max_length=80, description="`next` of the page before.")


class AuditRow(BaseModel):
    at: datetime
    by: str = Field(description="A key's id, `environment`, `celery` or `command line`.")
    action: str
    target: str
    reason: str
    outcome: Literal["ok", "refused", "failed"]
    detail: str
    worker: str | None
    operation: str | None


class AuditOut(BaseModel):
    lines: list[AuditRow]
    next: str | None
