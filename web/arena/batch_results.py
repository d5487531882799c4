"""What became of a batch, item by item. Names are told as everywhere: after the vote.

A batch that named its pair is not ranked, and its asker knows who takes part; which side was whom is then told as soon
as the battle is over, since no vote on it ever counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from web.context import Arena
from web.models import Answer, BatchItem, Battle, Vote, Words

_AT_ONCE = 100
_OVER = ("finished", "failed", "cancelled")


def results(arena: Arena, batch_id: str, after: int, *, cancelled: bool) -> Iterator[dict[str, Any]]:
    """One entry per item from the one after ``after`` on, in order; read in short transactions, a hundred at a time."""
    while True:
        page = arena.db.read(partial(_page, batch_id=batch_id, after=after, cancelled=cancelled))
        yield from page
        if len(page) < _AT_ONCE:
            return
        after = page[-1]["number"]


def _page(session: Session, batch_id: str, after: int, cancelled: bool) -> list[dict[str, Any]]:
    items = session.execute(
        select(BatchItem, Battle)
        .join(Battle, Battle.id == BatchItem.battle_id, isouter=True)
        .where(BatchItem.batch_id == batch_id, BatchItem.number > after)
        .order_by(BatchItem.number)
        .limit(_AT_ONCE)
    ).all()
    ids = [battle.id for _, battle in items if battle is not None]
    words = {(w.battle_id, w.part): w.content for w in _first_turns(session, Words, ids)}
    answers = {(a.battle_id, a.side): a for a in _first_turns(session, Answer, ids)}
    votes = {v.battle_id: v.winner for v in session.scalars(select(Vote).where(Vote.battle_id.in_(ids)))}
    return [
        _unbegun(item, cancelled) if battle is None else _begun(item, battle, words, answers, votes.get(battle.id))
        for item, battle in items
    ]


def _first_turns(session: Session, table: Any, ids: Sequence[str]) -> Iterator[Any]:
    yield from session.scalars(select(table).where(table.battle_id.in_(ids), table.turn == 1))


def _unbegun(item: BatchItem, cancelled: bool) -> dict[str, Any]:
    state = "failed" if item.error else "cancelled" if cancelled else "waiting" if item.prompt is not None else "failed"
    return {
        "number": item.number,
        "battle": None,
        "state": state,
        "prompt": item.prompt,
        "a": None,
        "b": None,
        "winner": None,
        "models": None,
        "error": item.error,
    }


def _begun(
    item: BatchItem, battle: Battle, words: dict[Any, str], answers: dict[Any, Answer], winner: str | None
) -> dict[str, Any]:
    def side(name: str) -> dict[str, Any] | None:
        answer = answers.get((battle.id, name))
        if answer is None:
            return None
        return {"text": words.get((battle.id, name)), "finish_reason": answer.finish_reason}

    told = winner is not None or (not battle.ranked and battle.state in _OVER)
    return {
        "number": item.number,
        "battle": battle.id,
        "state": battle.state,
        "prompt": words.get((battle.id, "prompt")),
        "a": side("a"),
        "b": side("b"),
        "winner": winner,
        "models": {"a": battle.model_a, "b": battle.model_b} if told else None,
        "error": battle.error,
    }
