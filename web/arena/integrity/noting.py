"""What is noted of prompts, answers and votes so that they can be judged later, without their words.

Noted while somebody waits, so that nothing is decided then: a voter who is shadow-excluded gets the same answer, in
the same time, as everybody else. No numpy: web runs it.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from web.arena.integrity.leak import asks_identity, named
from web.arena.integrity.marks import prompt_mark
from web.models import Answer, Battle, Turn
from web.ratings import features
from worker.contract.catalog import Catalog


def of_prompt(prompt: str, catalog: Catalog, key: str) -> dict[str, Any]:
    """A turn's features: :func:`web.ratings.features.of_prompt`, and ``mark``, ``names`` and ``asks`` where there are.

    ``mark``: the same for prompts that are the same; ``names``: words of the catalog's models in it; ``asks``: it asks
    the models who they are. ``key``: signs cookies.
    """
    noted: dict[str, Any] = {**features.of_prompt(prompt), "mark": prompt_mark(prompt, key)}
    words = tuple(word for spec in catalog.models for word in spec.leak_words)
    if names := named(prompt, words):
        noted["names"] = names
    if asks_identity(prompt):
        noted["asks"] = True
    return noted


def of_answer(text: str, catalog: Catalog, model: str) -> list[str] | None:
    """Words of the model's own that its answer says; None: none."""
    spec = catalog.get(model)
    return (named(text, spec.leak_words) if spec is not None else []) or None


def of_vote(session: Session, battle: Battle, at: datetime) -> tuple[str | None, dict[str, Any]]:
    """A mark of the prompts that were judged, and the evidence.

    ``leak``: by side, words of its own model that nobody had said before; ``named``: there were some that a prompt had
    said; ``asks``: a prompt asked who they are; ``had_s``: time to read the newest answers, ``tokens``: their lengths.
    """
    turns = session.execute(
        select(Turn.turn, Turn.features).where(Turn.battle_id == battle.id, Turn.votable.is_(True)).order_by(Turn.turn)
    ).all()
    if not turns:
        return None, {}
    answers = session.execute(
        select(
            Answer.turn, Answer.side, Answer.leaks, Answer.completion_tokens, Answer.duration_s, Answer.first_token_s
        ).where(Answer.battle_id == battle.id, Answer.turn.in_([turn.turn for turn in turns]))
    ).all()
    told = [turn.features or {} for turn in turns]
    evidence = _names(answers, {word for facts in told for word in facts.get("names", ())})
    if any(facts.get("asks") for facts in told):
        evidence["asks"] = True
    newest = turns[-1].turn
    if newest == battle.turns and battle.finished_at is not None:
        last = [answer for answer in answers if answer.turn == newest]
        shown = max((a.duration_s - (a.first_token_s or 0.0) for a in last), default=0.0)
        evidence["had_s"] = round((at - battle.finished_at).total_seconds() + max(shown, 0.0), 3)
        evidence["tokens"] = [a.completion_tokens for a in sorted(last, key=lambda a: a.side)]
    return _one([facts.get("mark") for facts in told]), evidence


def _names(answers: Any, said: set[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    leaks: dict[str, list[str]] = {}
    for answer in answers:
        own = set(answer.leaks or ())
        if own & said:
            found["named"] = True
        if own - said:
            leaks[answer.side] = sorted({*leaks.get(answer.side, ()), *(own - said)})
    return {**found, "leak": leaks} if leaks else found


def _one(marks: list[str | None]) -> str | None:
    if any(mark is None for mark in marks):
        return None
    if len(marks) == 1:
        return marks[0]
    return hashlib.blake2b(" ".join(mark or "" for mark in marks).encode(), digest_size=8).hexdigest()
