"""What a vote takes along of its battle. Read once, in the transaction that stores the vote; no numpy, web runs it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from web.models import Answer, Battle, Turn
from web.ratings.features import AnswerFacts, TurnFacts, of_vote


def features_of(session: Session, battle: Battle) -> dict[str, Any]:
    """:func:`web.ratings.features.of_vote` of a stored battle: its turns that were answered well, none of its words."""
    answers = session.execute(
        select(Answer.turn, Answer.side, Answer.style, Answer.completion_tokens).where(
            Answer.battle_id == battle.id, Answer.finish_reason.in_(("stop", "length"))
        )
    ).all()
    sides: dict[int, set[str]] = {}
    for turn, side, _, _ in answers:
        sides.setdefault(turn, set()).add(side)
    good = {turn for turn, answered in sides.items() if len(answered) == 2}
    turns = session.execute(
        select(Turn.turn, Turn.prompt_chars, Turn.features).where(Turn.battle_id == battle.id).order_by(Turn.turn)
    )
    return of_vote(
        battle.probability,
        [TurnFacts(chars, features) for turn, chars, features in turns if turn in good],
        [AnswerFacts(side, style, tokens) for turn, side, style, tokens in answers if turn in good],
    )
