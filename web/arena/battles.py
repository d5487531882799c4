"""Beginning a battle: a pair, a coin for the sides, the first turn in line.

A battle is committed before anybody is told of it, so nothing can run that the database does not know.
"""

from __future__ import annotations

import logging
import random
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError
from sqlalchemy import insert
from sqlalchemy.orm import Session

from web.arena.admission import admit, admit_pair
from web.arena.asking import check_prompt, check_sampling
from web.arena.drawing import Drawn, count, draw_pair, seen_by
from web.arena.excluded import models_out
from web.arena.integrity.noting import of_prompt
from web.arena.lining import Asked, put_in_line
from web.arena.sampling import Draw, TooFewModels
from web.arena.stopping import announce, cancel
from web.arena.transcript import keep_text
from web.context import Arena
from web.errors import NoWorker, SameContender, UnknownContender
from web.models import Battle, Turn, now
from web.moderation import screen
from web.queue import QueueError
from web.settings import WebSettings
from worker.contract import residency
from worker.contract.jobs import Message
from worker.contract.residency import Residency

__all__ = ["NAMED", "Begun", "announce", "begin", "cancel", "line_up"]

log = logging.getLogger(__name__)
_dice = random.SystemRandom()
_NEW_BATTLE, _NEW_TURN = insert(Battle.__table__), insert(Turn.__table__)  # type: ignore[arg-type]

NAMED = "named"
"""The policy of a battle whose asker chose the pair: drawn with certainty, and of no use to the ranking."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A turn that is in line."""

    id: str
    state: str = "queued"
    turn: int = 1
    retry: int = 0


def begin(
    arena: Arena,
    owner: str,
    prompt: str,
    *,
    sampling: Mapping[str, Any] | None = None,
    models: Sequence[str] | None = None,
    also: Callable[[Session, str], None] | None = None,
) -> Begun:
    """Draw a pair, or take the two ``models``; store the battle and queue its first turn.

    Raises the errors of :mod:`web.arena.asking`, :mod:`web.moderation` and :mod:`web.arena.admission`,
    UnknownContender and SameContender. A battle that is stored but cannot be queued stays ``queued``: the reconciler
    (``web.records``) puts it in line when the broker is back. ``also`` is run with the battle's id in the transaction
    that stores it; what it raises undoes both.
    """
    check_prompt(prompt, arena.settings.prompt_max_chars)
    screen(arena.settings, prompt)
    chosen = check_sampling(sampling, arena.settings)
    if models is not None:
        _check_named(arena, models)
    reports = residency.read(arena.redis)
    drawn = _draw(arena, owner, reports, models)
    draw = drawn.draw
    admit_pair(reports, draw.a, draw.b)
    message = (Message("user", prompt),)
    asked = Asked(
        secrets.token_urlsafe(16), owner, (draw.a, draw.b), (message, message), asked_at=now(), sampling=chosen
    )

    noted = of_prompt(prompt, arena.catalog, arena.settings.signing_key())

    def store(session: Session) -> None:
        _insert(session, arena.settings, asked, draw, noted)
        if also is not None:
            also(session, asked.battle_id)

    arena.db.write(store)
    count(arena, drawn)
    line_up(arena, asked, reports)
    return Begun(asked.battle_id)


def line_up(arena: Arena, asked: Asked, reports: Sequence[Residency]) -> None:
    """Queue what is stored; what cannot be queued now, the reconciler queues later."""
    try:
        put_in_line(arena, asked, reports)
    except (RedisError, QueueError) as error:
        log.error("battle %s is not in line yet: %s", asked.battle_id, type(error).__name__)


def _check_named(arena: Arena, models: Sequence[str]) -> None:
    for model in models:
        if model not in arena.catalog.ids:
            raise UnknownContender("models: GET /api/models lists who takes part.", field="models")
    if len(set(models)) != len(models):
        raise SameContender("models: name two different ones.", field="models")


def _draw(arena: Arena, owner: str, reports: Sequence[Residency], named: Sequence[str] | None) -> Drawn:
    out, seen = arena.db.read(lambda s: (models_out(s), seen_by(s, arena.settings, owner)))
    models = [m for m in admit(reports, arena.catalog.ids) if m not in out]
    if named is None:
        try:
            return draw_pair(arena, reports, models, _dice, seen)
        except TooFewModels as error:
            raise NoWorker("Fewer than two models can answer right now.", retry_after_s=10) from error
    if not set(named) <= set(models):
        raise NoWorker("One of these models cannot answer right now.", retry_after_s=10)
    a, b = _dice.sample(list(named), 2)
    return Drawn(Draw(a, b, 1.0, NAMED))


def _insert(session: Session, settings: WebSettings, asked: Asked, draw: Draw, noted: Mapping[str, Any]) -> None:
    """Past the ORM's bookkeeping: every prompt waits for this."""
    prompt, at = asked.told[0][-1].content, asked.asked_at
    connection = session.connection()
    connection.execute(
        _NEW_BATTLE,
        {
            "id": asked.battle_id,
            "owner": asked.owner,
            "model_a": draw.a,
            "model_b": draw.b,
            "probability": draw.probability,
            "policy_version": draw.policy,
            "ranked": draw.policy != NAMED,
            "sampling": asked.sampling,
            "created_at": at,
        },
    )
    turn = {"battle_id": asked.battle_id, "turn": 1}
    facts = {"prompt_chars": len(prompt), "features": noted, "created_at": at, "asked_at": at}
    connection.execute(_NEW_TURN, {**turn, **facts})
    keep_text(session, settings, asked.battle_id, 1, "prompt", prompt)
