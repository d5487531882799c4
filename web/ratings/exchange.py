"""Votes and battles as open data: everything a ranking needs, nothing that says who somebody is.

A row names the models, the winner, the boards, the probability of the pair and whether (and why not) the vote counts.
``vote``, ``battle`` and ``voter`` are keyed hashes (HMAC-SHA256) under a salt that stays here, so that nobody, not the
voter either, can go from them to a battle or a session; a vote and its battle share one. The moment is cut to its day,
and rows stand in the order of their hash, which is no order at all, and stays the same as others join. Rows appear
after a delay, and a battle that can still be voted never does. Texts are part of it only where they are asked for, and
then without those that seem to hold somebody's data (``pii``, see :mod:`web.ratings.pii`).
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Literal

from sqlalchemy import ColumnElement, Integer, func, or_, select
from sqlalchemy.orm import Session

from web.db import Database
from web.models import Answer, Battle, Turn, Vote, Words
from web.ratings.pii import kinds

Kind = Literal["votes", "battles"]
WINNERS = {"a": "model_a", "b": "model_b", "tie": "tie", "both_bad": "tie (bothbad)"}
COLUMNS = (
    "vote", "model_a", "model_b", "winner", "voter", "day", "counted", "reasons", "probability", "policy", "turns",
    "boards", "style_a", "style_b", "pii",
)  # fmt: skip
BATTLE_COLUMNS = (
    "battle", "model_a", "model_b", "voter", "day", "state", "voted", "ranked", "probability", "policy", "turns",
    "finish_a", "finish_b", "tokens_a", "tokens_b", "pii",
)  # fmt: skip
_PAGE = 400
_KEYS_AT_ONCE = 20_000
_INTEGER = Integer()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for. ``before``: rows of before this moment. ``texts``: prompts and answers too, and ``pii``: even
    those that seem to hold somebody's data.
    """

    kind: Kind
    before: datetime
    texts: bool = False
    pii: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """Of each row."""
        names = COLUMNS if self.kind == "votes" else BATTLE_COLUMNS
        return (*names, "texts") if self.texts else names


def cutoff(now: datetime, days: int) -> datetime:
    """Rows of before this moment are published: whole days (UTC) only, so that all exports of a day are the same."""
    if days == 0:
        return now
    return datetime.combine(now.astimezone(UTC).date(), datetime.min.time(), UTC) - timedelta(days=days)


def read(db: Database, salt: bytes, wanted: Wanted) -> Iterator[dict[str, Any]]:
    """Every row, counted or not; in memory are their keys and one page of them."""
    keys: list[tuple[str, int | str]] = []
    newest: int | str = 0 if wanted.kind == "votes" else ""
    while page := db.read(partial(_keys, wanted=wanted, after=newest)):
        keys += [(pseudonym(salt, "vote", battle), key) for key, battle in page]
        newest = page[-1][0]
    keys.sort()
    for begin in range(0, len(keys), _PAGE):
        chosen = [key for _, key in keys[begin : begin + _PAGE]]
        yield from db.read(partial(rows_of, salt=salt, wanted=wanted, keys=chosen))


def extent(session: Session, wanted: Wanted) -> tuple[Any, ...]:
    """Changes whenever rows come, go or are ruled about: how many there are, the newest, how many of them count."""
    if wanted.kind == "votes":
        query = select(func.count(), func.max(Vote.id), func.sum(Vote.counted.cast(_INTEGER)))
        return tuple(session.execute(query.where(Vote.created_at < wanted.before)).one())
    query = select(func.count(), func.max(Battle.finished_at), func.count(Battle.voted_at)).where(*_over(wanted))
    return tuple(str(part) for part in session.execute(query).one())


def rows_of(session: Session, salt: bytes, wanted: Wanted, keys: Iterable[int | str]) -> list[dict[str, Any]]:
    """The rows of these votes (by id) or battles, in their export's order."""
    of_votes = wanted.kind == "votes"
    query: Any = select(Vote, Battle).join(Battle, Battle.id == Vote.battle_id) if of_votes else _battles()
    found = session.execute(query.where((Vote if of_votes else Battle).id.in_(keys))).all()
    battles = [battle.id for _, battle in found]
    private = _private(session, battles)
    texts = _texts(session, battles) if wanted.texts else {}
    answers = {} if of_votes else _answers(session, battles)
    rows = []
    for vote, battle in found:
        row = _vote(vote, battle, salt) if of_votes else _battle(battle, answers.get(battle.id, {}), salt)
        row["pii"] = private.get(battle.id, _imported(vote))
        if wanted.texts:
            said = texts.get(battle.id)
            row["pii"] = row["pii"] if said is None else bool(kinds(t for turn in said for t in turn.values()))
            row["texts"] = said if wanted.pii or not row["pii"] else None
        rows.append(row)
    session.expunge_all()
    return sorted(rows, key=lambda row: str(row["vote" if of_votes else "battle"]))


def _keys(session: Session, wanted: Wanted, after: Any) -> list[tuple[Any, str]]:
    if wanted.kind == "votes":
        query: Any = select(Vote.id, Vote.battle_id).where(Vote.id > after, Vote.created_at < wanted.before)
        query = query.order_by(Vote.id)
    else:
        query = select(Battle.id, Battle.id).where(Battle.id > after, *_over(wanted)).order_by(Battle.id)
    return [(key, battle) for key, battle in session.execute(query.limit(_KEYS_AT_ONCE))]


def _over(wanted: Wanted) -> tuple[ColumnElement[bool], ...]:
    """Battles whose names give nothing away any more: voted, or such that no vote can come."""
    done = Battle.state.in_(("finished", "failed", "cancelled")) & Battle.votable.is_(False)
    return (Battle.created_at < wanted.before, Battle.deleted_at.is_(None), or_(Battle.voted_at.is_not(None), done))


def _battles() -> Any:
    return select(Vote, Battle).outerjoin(Vote, Vote.battle_id == Battle.id).select_from(Battle)


def _vote(vote: Vote, battle: Battle, salt: bytes) -> dict[str, Any]:
    features = vote.features or {}
    style = features.get("style") or {}
    return {
        "vote": pseudonym(salt, "vote", vote.battle_id),
        "model_a": vote.model_a,
        "model_b": vote.model_b,
        "winner": WINNERS[vote.winner],
        "voter": pseudonym(salt, "voter", vote.owner),
        "day": _day(vote.created_at),
        "counted": vote.counted and vote.model_a != vote.model_b,
        "reasons": sorted(vote.reasons),
        "probability": features.get("probability"),
        "policy": battle.policy_version,
        "turns": battle.turns,
        "boards": features.get("boards", []),
        "style_a": style.get("a"),
        "style_b": style.get("b"),
    }


def _battle(battle: Battle, ended: dict[str, tuple[str, int]], salt: bytes) -> dict[str, Any]:
    """``ended``: by side, the newest turn's finish reason and the tokens of all its answers."""
    row: dict[str, Any] = {
        "battle": pseudonym(salt, "vote", battle.id),
        "model_a": battle.model_a,
        "model_b": battle.model_b,
        "voter": pseudonym(salt, "voter", battle.owner),
        "day": _day(battle.created_at),
        "state": battle.state,
        "voted": battle.voted_at is not None,
        "ranked": battle.ranked,
        "probability": battle.probability,
        "policy": battle.policy_version,
        "turns": battle.turns,
    }
    for n, what in enumerate(("finish", "tokens")):
        row |= {f"{what}_{side}": ended[side][n] if side in ended else None for side in ("a", "b")}
    return row


def _answers(session: Session, battles: list[str]) -> dict[str, dict[str, tuple[str, int]]]:
    query = select(Answer.battle_id, Answer.side, Answer.finish_reason, Answer.completion_tokens)
    found: dict[str, dict[str, tuple[str, int]]] = {}
    for battle, side, reason, tokens in session.execute(
        query.where(Answer.battle_id.in_(battles)).order_by(Answer.turn)
    ):
        ended = found.setdefault(battle, {})
        ended[side] = (reason, ended.get(side, ("", 0))[1] + tokens)
    return found


def _private(session: Session, battles: list[str]) -> dict[str, bool]:
    """Whether a prompt seemed to hold somebody's data when it was asked; battles from before that was noted are left
    out.
    """
    found: dict[str, bool] = {}
    for battle, features in session.execute(select(Turn.battle_id, Turn.features).where(Turn.battle_id.in_(battles))):
        if features and "pii" in features:
            found[battle] = found.get(battle, False) or bool(features["pii"])
    return found


def _imported(vote: Vote | None) -> bool | None:
    """What was found in the conversation a vote was imported with."""
    found = (vote.features or {}).get("pii") if vote is not None else None
    return None if found is None else bool(found)


def _texts(session: Session, battles: list[str]) -> dict[str, list[dict[str, str]]]:
    """By battle, what is still stored of each turn: ``prompt``, ``a``, ``b``."""
    found: dict[str, dict[int, dict[str, str]]] = {}
    for text in session.scalars(
        select(Words).where(Words.battle_id.in_(battles)).order_by(Words.turn, Words.part.desc())
    ):
        found.setdefault(text.battle_id, {}).setdefault(text.turn, {})[text.part] = text.content
    return {battle: list(turns.values()) for battle, turns in found.items()}


def _day(moment: datetime) -> str:
    return moment.astimezone(UTC).date().isoformat()


def pseudonym(salt: bytes, kind: str, name: str) -> str:
    """16 hexadecimal digits that stand for a name; without the salt nobody can tell which."""
    return hmac.digest(salt, f"{kind}:{name}".encode(), "sha256").hex()[:16]
