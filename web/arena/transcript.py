"""What was said in a battle so far, and what each side must be told of it before it answers again.

A side is told the turns that ended well, with its own answers; a turn that failed is as if it had never been asked. It
is told all of them or none: a conversation too long for the models is refused by the worker, which has the tokenizers,
and never cut short without a word.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from web.models import Answer, Turn, Words
from web.settings import WebSettings
from worker.contract import channel
from worker.contract.events import SIDES, Side
from worker.contract.jobs import Message, SideResult, Timings
from worker.contract.view import fold_all

_NEW_WORDS = insert(Words.__table__)  # type: ignore[arg-type]

Said = Mapping[tuple[int, str], str]
"""Texts by turn and part (``prompt``, ``a``, ``b``)."""


def said_in(session: Session, battle_id: str) -> dict[tuple[int, str], str]:
    """Every text of the battle that is still stored."""
    rows = session.scalars(select(Words).where(Words.battle_id == battle_id))
    return {(w.turn, w.part): w.content for w in rows}


def keep_text(session: Session, settings: WebSettings, battle_id: str, turn: int, part: str, content: str) -> None:
    """Write a text down, in an arena that keeps any. ``part``: ``prompt``, ``a`` or ``b``."""
    if settings.store_text == "always":
        session.flush()
        row = {"battle_id": battle_id, "turn": turn, "part": part, "content": content}
        session.connection().execute(_NEW_WORDS, row)


def said_live(redis: Any, settings: WebSettings, battle_id: str) -> dict[tuple[int, str], str]:
    """What the battle's live log still holds, for an arena that stores no texts; else, and without a log, nothing.

    Raises RedisError.
    """
    if settings.store_text == "always":
        return {}
    _, frames = channel.read_log(redis, battle_id)
    if not frames or frames[0].seq != 1:
        return {}
    said: dict[tuple[int, str], str] = {}
    for turn in fold_all(frame.event for frame in frames).turns:
        said[turn.turn, "prompt"] = turn.prompt
        said.update({(turn.turn, s): side.text for s in SIDES if (side := getattr(turn, s)).status == "done"})
    return said


def good_turns(session: Session, battle_id: str, before: int | None = None) -> list[int]:
    """Numbers of the turns that ended well, in order; only those ``before`` that one, if given."""
    query = select(Turn.turn).where(Turn.battle_id == battle_id, Turn.votable.is_(True))
    if before is not None:
        query = query.where(Turn.turn < before)
    return list(session.scalars(query.order_by(Turn.turn)))


def messages(said: Said, turns: list[int], newest: int, side: Side) -> tuple[Message, ...] | None:
    """What ``side`` is asked in turn ``newest`` after ``turns``; None when some of it is no longer stored."""
    told: list[Message] = []
    for turn in turns:
        prompt, answer = said.get((turn, "prompt")), said.get((turn, side))
        if prompt is None or answer is None:
            return None
        told += [Message("user", prompt), Message("assistant", answer)]
    prompt = said.get((newest, "prompt"))
    return None if prompt is None else (*told, Message("user", prompt))


def standing(answer: Answer, text: str) -> SideResult:
    """A stored answer in the form in which the worker gives answers."""
    return SideResult(
        text=text,
        finish_reason=cast("object", answer.finish_reason),  # type: ignore[arg-type]
        prompt_tokens=answer.prompt_tokens,
        completion_tokens=answer.completion_tokens,
        timings=Timings(answer.queued_s, answer.first_token_s, answer.duration_s),
    )
