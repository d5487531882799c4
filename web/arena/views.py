"""What a battle looks like now: the fold of its live log, completed by what the database knows.

The log is ahead of the database while text streams; the database is ahead when Redis lost the log, or when a commit's
announcement is still on its way. A view made of both never shows less than either.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec
from msgspec.structs import replace
from sqlalchemy import select
from sqlalchemy.orm import Session

from web.arena.reveal import reveal
from web.errors import UnknownBattle
from web.models import Answer, Battle, Turn, Vote, Words
from worker.contract import channel
from worker.contract.catalog import Catalog
from worker.contract.channel import Frame
from worker.contract.events import (
    BattleView,
    Failure,
    SideView,
    StoredEvent,
    TurnRetried,
    TurnStarted,
    TurnView,
    Winner,
)
from worker.contract.view import fold_all

_FINAL = ("finished", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Current:
    """``epoch`` and ``seq`` say up to where in the log the view counts; epoch is empty when there is no log."""

    view: BattleView
    epoch: str
    seq: int


def owned(session: Session, battle_id: str, owner: str | None) -> Battle:
    """The battle, if it is this session's. Raises UnknownBattle otherwise, and does not say which it was."""
    battle = session.get(Battle, battle_id) if owner else None
    if battle is None or battle.owner != owner or battle.deleted_at is not None:
        raise UnknownBattle()
    return battle


def current(db: Any, redis: Any, catalog: Catalog, battle_id: str) -> Current:
    """Database first, then log: what happens in between is in the log, and told again by the events after ``seq``.

    Of a battle that is under way and whose log is whole and has its newest turn, the log alone tells everything.
    """
    state, place = db.read(lambda s: _head(s, battle_id))
    epoch, frames = channel.read_log(redis, battle_id)
    if state not in _FINAL and _whole(frames):
        live = fold_all(frame.event for frame in frames)
        if _progress(live)[:2] >= place:
            return Current(live, epoch or "", frames[-1].seq)
    stored = db.read(lambda s: _stored(s, catalog, battle_id))
    epoch, frames = channel.read_log(redis, battle_id)
    view = _merged(stored, frames)
    return Current(view, epoch or "", frames[-1].seq if frames else 0)


def _head(session: Session, battle_id: str) -> tuple[str, tuple[int, int]]:
    """Its state, and its newest turn with the retries of that."""
    battle = session.get(Battle, battle_id)
    newest = session.get(Turn, (battle_id, battle.turns)) if battle is not None else None
    if battle is None or newest is None or battle.deleted_at is not None:
        raise UnknownBattle()
    return battle.state, (newest.turn, newest.retries)


def _stored(session: Session, catalog: Catalog, battle_id: str) -> BattleView:
    battle = session.get(Battle, battle_id)
    if battle is None or battle.deleted_at is not None:
        raise UnknownBattle()
    return stored_view(session, catalog, battle)


def _whole(frames: Sequence[Frame]) -> bool:
    """Whether the log still begins where the battle began."""
    if not frames or frames[0].seq != 1:
        return False
    first = frames[0].event
    return isinstance(first, TurnStarted) and first.turn == 1


def stored_view(session: Session, catalog: Catalog, battle: Battle) -> BattleView:
    """The view from the database alone; models only when a vote is stored."""
    vote = session.scalar(select(Vote).where(Vote.battle_id == battle.id))
    turns = session.scalars(select(Turn).where(Turn.battle_id == battle.id).order_by(Turn.turn))
    answers = {(a.turn, a.side): a for a in session.scalars(select(Answer).where(Answer.battle_id == battle.id))}
    words = {(w.turn, w.part): w.content for w in session.scalars(select(Words).where(Words.battle_id == battle.id))}
    return BattleView(
        state=cast(Any, battle.state),
        turns=tuple(
            TurnView(
                turn=t.turn,
                prompt=words.get((t.turn, "prompt"), ""),
                a=_side(answers.get((t.turn, "a")), words.get((t.turn, "a"), "")),
                b=_side(answers.get((t.turn, "b")), words.get((t.turn, "b"), "")),
                retry=t.retries,
            )
            for t in turns
        ),
        attempt=max(battle.attempt, 1),
        votable=battle.votable and vote is None,
        winner=cast(Winner, vote.winner) if vote else None,
        models=reveal(session, catalog, battle) if vote else None,
        error=_failure(battle.error),
        cancelled_by=cast(Any, battle.cancelled_by),
        cancel_reason=battle.cancel_reason,
    )


def _side(answer: Answer | None, text: str) -> SideView:
    if answer is None:
        return SideView()
    failed = answer.finish_reason == "failed"
    return SideView(
        text=text,
        status="failed" if failed else "done",
        finish_reason=cast(Any, answer.finish_reason),
        error=_failure(answer.error),
    )


def _failure(stored: dict[str, Any] | None) -> Failure | None:
    return msgspec.convert(stored, Failure) if stored else None


def _merged(stored: BattleView, frames: Sequence[Frame]) -> BattleView:
    events = [frame.event for frame in frames]
    begins = next((n for n, e in enumerate(events) if isinstance(e, TurnStarted | TurnRetried)), None)
    if begins is None:
        return fold_all(_later(stored, events), stored)
    live = fold_all(events[begins:], _before(stored, events[begins]))
    if _progress(stored) > _progress(live):
        return stored
    if stored.winner is not None and live.models is None:
        return replace(live, winner=stored.winner, models=stored.models, votable=False)
    return live


def _progress(view: BattleView) -> tuple[int, int, bool]:
    """Which turn a view has come to, which retry of it, and whether that is over."""
    last = view.turns[-1] if view.turns else None
    return (last.turn if last else 0, last.retry if last else 0, view.state in _FINAL)


def _before(stored: BattleView, begin: StoredEvent) -> BattleView:
    """What the database knows of the time before the log's first beginning; nothing for a log of the whole battle."""
    if isinstance(begin, TurnStarted):
        return BattleView(turns=tuple(t for t in stored.turns if t.turn < begin.turn))
    assert isinstance(begin, TurnRetried)
    turns = [t for t in stored.turns if t.turn <= begin.turn]
    if turns and turns[-1].turn == begin.turn:
        turns[-1] = replace(turns[-1], retry=begin.retry - 1)
    return BattleView(turns=tuple(turns))


def _later(stored: BattleView, events: Sequence[StoredEvent]) -> Iterable[StoredEvent]:
    """Events of a log without a beginning that may be laid over the stored view: none about text it already has."""
    if stored.state not in _FINAL:
        return events
    told = ("battle.votable", "battle.voted", "battle.revealed")
    return [e for e in events if e.__struct_config__.tag in told and stored.winner is None]
