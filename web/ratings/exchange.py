"""Votes as open data: everything a ranking needs, nothing that says who somebody is.

A row names the models, the winner, the boards, the probability of the pair and whether (and why not) the vote counts.
``vote`` and ``voter`` are keyed hashes (HMAC-SHA256) under a salt that stays here, so that nobody, the voter included,
can go from them to a battle or a session; the moment is cut to its day, and rows stand in the order of
their ``vote``, which is no order at all, and stays the same as others join. Texts are not part of it. Votes appear
after a delay.
"""

from __future__ import annotations

import csv
import hmac
import io
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from web.models import Battle, Vote

WINNERS = {"a": "model_a", "b": "model_b", "tie": "tie", "both_bad": "tie (bothbad)"}
COLUMNS = (
    "vote", "model_a", "model_b", "winner", "voter", "day", "counted", "reasons", "probability", "policy", "turns",
    "boards", "style_a", "style_b",
)  # fmt: skip
_PAGE = 5000


def cutoff(now: datetime, days: int) -> datetime:
    """Votes before this moment are published: whole days (UTC) only, so that all exports of a day are the same."""
    return datetime.combine(now.astimezone(UTC).date(), datetime.min.time(), UTC) - timedelta(days=days)


def read_rows(session: Session, salt: bytes, before: datetime) -> list[dict[str, Any]]:
    """Every vote cast before that moment, counted or not."""
    found: list[dict[str, Any]] = []
    newest = 0
    while True:
        page = session.execute(
            select(Vote, Battle.probability, Battle.policy_version, Battle.turns)
            .join(Battle, Battle.id == Vote.battle_id)
            .where(Vote.id > newest, Vote.created_at < before)
            .order_by(Vote.id)
            .limit(_PAGE)
        ).all()
        if not page:
            break
        newest = page[-1][0].id
        found += (_row(*columns, salt) for columns in page)
        session.expunge_all()
    return sorted(found, key=lambda row: str(row["vote"]))


def _row(vote: Vote, probability: float, policy: str, turns: int, salt: bytes) -> dict[str, Any]:
    features = vote.features or {}
    style = features.get("style") or {}
    return {
        "vote": pseudonym(salt, "vote", vote.battle_id),
        "model_a": vote.model_a,
        "model_b": vote.model_b,
        "winner": WINNERS[vote.winner],
        "voter": pseudonym(salt, "voter", vote.owner),
        "day": vote.created_at.astimezone(UTC).date().isoformat(),
        "counted": vote.counted and vote.model_a != vote.model_b,
        "reasons": sorted(vote.reasons),
        "probability": features.get("probability"),
        "policy": policy,
        "turns": turns,
        "boards": features.get("boards", []),
        "style_a": style.get("a"),
        "style_b": style.get("b"),
    }


def pseudonym(salt: bytes, kind: str, name: str) -> str:
    """16 hexadecimal digits that stand for a name; without the salt nobody can tell which."""
    return hmac.digest(salt, f"{kind}:{name}".encode(), "sha256").hex()[:16]


def as_jsonl(rows: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """One JSON object a line."""
    encode = msgspec.json.Encoder().encode
    for row in rows:
        yield encode(row) + b"\n"


def as_csv(rows: Iterable[Mapping[str, Any]], columns: Iterable[str] = COLUMNS) -> Iterator[bytes]:
    """With a header; lists are separated by spaces, style is JSON, what is not known is empty."""
    names = list(columns)
    yield _line(names)
    for row in rows:
        yield _line([_cell(row[name]) for name in names])


def _line(cells: list[str]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(cells)
    return out.getvalue().encode()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return " ".join(map(str, value))
    if isinstance(value, dict):
        return msgspec.json.encode(value).decode()
    return repr(value) if isinstance(value, float) else str(value)
