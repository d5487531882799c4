"""Beginning and cancelling a battle.

Order matters in both: a battle is committed before anybody is told of it, so nothing can run that the database does not
know; and a cancel reaches the worker's flag before the database, so that no answer can slip between them.
"""

from __future__ import annotations

import logging
import random
import secrets
from dataclasses import dataclass

from redis.exceptions import RedisError
from sqlalchemy import update
from sqlalchemy.orm import Session

from web.arena.admission import admit, admit_pair
from web.arena.lining import Asked, put_in_line
from web.arena.sampling import Draw, sample_pair
from web.arena.views import owned
from web.context import Arena
from web.errors import EmptyPrompt, InvalidBody, PromptTooLong
from web.models import Battle, Turn, Words, now
from web.queue import QueueError
from worker.contract import channel, residency
from worker.contract.events import BattleCancelled, StoredEvent

log = logging.getLogger(__name__)
_dice = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class Begun:
    """A battle that is in line."""

    id: str
    state: str = "queued"


def check_prompt(prompt: str, max_chars: int) -> str:
    """The prompt as it will be stored. Raises EmptyPrompt, PromptTooLong or InvalidBody."""
    if not prompt.strip():
        raise EmptyPrompt("Please write a prompt.", field="prompt")
    if len(prompt) > max_chars:
        raise PromptTooLong(
            f"The prompt has {len(prompt)} characters; the limit is {max_chars}.",
            field="prompt",
            limit=max_chars,
            length=len(prompt),
        )
    if not _storable(prompt):
        raise InvalidBody("prompt: must be text without NUL characters and lone surrogates", field="prompt")
    return prompt


def _storable(text: str) -> bool:
    """PostgreSQL refuses NUL, and nothing can encode half a surrogate pair."""
    return not any(c == "\x00" or "\ud800" <= c <= "\udfff" for c in text)


def begin(arena: Arena, owner: str, prompt: str) -> Begun:
    """Draw a pair, store the battle and queue its first turn.

    Raises the errors of :func:`check_prompt` and of :mod:`web.arena.admission`. A battle that is stored but cannot be
    queued stays ``queued``: the reconciler (``web.records``) puts it in line when the broker is back.
    """
    check_prompt(prompt, arena.settings.prompt_max_chars)
    reports = residency.read(arena.redis)
    models = admit(reports, arena.catalog.ids)
    weights = {m.id: m.weight for m in arena.catalog.models}
    draw = sample_pair(models, weights, _dice)
    admit_pair(reports, draw.a, draw.b)
    asked = Asked(secrets.token_urlsafe(16), 1, owner, (draw.a, draw.b), prompt, now())
    arena.db.write(lambda s: _insert(s, asked, draw))
    try:
        put_in_line(arena, asked)
    except (RedisError, QueueError) as error:
        log.error("battle %s is not in line yet: %s", asked.battle_id, type(error).__name__)
    return Begun(asked.battle_id)


def _insert(session: Session, asked: Asked, draw: Draw) -> None:
    session.add(
        Battle(
            id=asked.battle_id,
            owner=asked.owner,
            model_a=draw.a,
            model_b=draw.b,
            probability=draw.probability,
            policy_version=draw.policy,
            created_at=asked.created_at,
        )
    )
    session.flush()
    session.add(Turn(battle_id=asked.battle_id, turn=asked.turn, prompt_chars=len(asked.prompt)))
    session.flush()
    session.add(Words(battle_id=asked.battle_id, turn=asked.turn, part="prompt", content=asked.prompt))


def cancel(arena: Arena, owner: str | None, battle_id: str) -> str:
    """Ask for the end of a battle and return its state; one that is over stays as it is.

    A battle no worker has begun is cancelled here and now; a running one ends when its worker sees the request.
    Raises UnknownBattle.
    """
    state = arena.db.read(lambda s: owned(s, battle_id, owner).state)
    if state not in ("queued", "running"):
        return state
    channel.request_cancel(arena.redis, battle_id, "user")
    if not channel.newest_attempt(arena.redis, battle_id) and arena.db.write(lambda s: _cancel_queued(s, battle_id)):
        announce(arena, battle_id, BattleCancelled(by="user"))
    return arena.db.read(lambda s: owned(s, battle_id, owner).state)


def _cancel_queued(session: Session, battle_id: str) -> bool:
    done = session.execute(
        update(Battle)
        .where(Battle.id == battle_id, Battle.state == "queued", Battle.attempt == 0)
        .values(state="cancelled", finished_at=now(), cancelled_by="user")
        .returning(Battle.id)
    )
    return done.first() is not None


def announce(arena: Arena, battle_id: str, *events: StoredEvent) -> None:
    """Tell followers what is already stored; when Redis is away they learn it from the next snapshot."""
    try:
        channel.publish(arena.redis, battle_id, events)
    except RedisError as error:
        log.warning("battle %s: announcement lost: %s", battle_id, type(error).__name__)
