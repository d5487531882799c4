"""Beginning and cancelling a battle.

Order matters in both: a battle is committed before anybody is told of it, so nothing can run that the database does not
know; and a cancel reaches the worker's flag before the database, so that no answer can slip between them.
"""

from __future__ import annotations

import hashlib
import logging
import random
import secrets
import time
from dataclasses import dataclass

from redis.exceptions import RedisError
from sqlalchemy import update
from sqlalchemy.orm import Session

from web.arena.admission import admit, admit_pair
from web.arena.sampling import Draw, sample_pair
from web.arena.views import owned
from web.context import Arena
from web.errors import EmptyPrompt, InvalidBody, PromptTooLong, QueueUnavailable
from web.models import Battle, Turn, Words, now
from web.queue import QueueError
from worker.contract import channel, residency
from worker.contract.events import BattleCancelled, BattleFailed, Failure, StoredEvent, TurnStarted
from worker.contract.jobs import BattleJob, Message, Sampling, SideJob, SideJobs

log = logging.getLogger(__name__)
_dice = random.SystemRandom()
_NOT_QUEUED = Failure("queue_unavailable", "Your battle could not be put in line. Please try again.", True)


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

    Raises the errors of :func:`check_prompt` and of :mod:`web.arena.admission`, and QueueUnavailable; after the last
    the battle exists and is failed.
    """
    check_prompt(prompt, arena.settings.prompt_max_chars)
    reports = residency.read(arena.redis)
    models = admit(reports, arena.catalog.ids)
    weights = {m.id: m.weight for m in arena.catalog.models}
    draw = sample_pair(models, weights, _dice)
    admit_pair(reports, draw.a, draw.b)
    battle_id = secrets.token_urlsafe(16)
    arena.db.write(lambda s: _insert(s, battle_id, owner, draw, prompt))
    try:
        channel.publish(arena.redis, battle_id, [TurnStarted(turn=1, prompt=prompt)])
        arena.queue.run_battle(_job(arena, battle_id, owner, draw, prompt))
    except (RedisError, QueueError) as error:
        log.error("battle %s could not be queued: %s", battle_id, type(error).__name__)
        _fail(arena, battle_id)
        raise QueueUnavailable(_NOT_QUEUED.message) from error
    return Begun(battle_id)


def _insert(session: Session, battle_id: str, owner: str, draw: Draw, prompt: str) -> None:
    session.add(
        Battle(
            id=battle_id,
            owner=owner,
            model_a=draw.a,
            model_b=draw.b,
            probability=draw.probability,
            policy_version=draw.policy,
        )
    )
    session.flush()
    session.add(Turn(battle_id=battle_id, turn=1, prompt_chars=len(prompt)))
    session.flush()
    session.add(Words(battle_id=battle_id, turn=1, part="prompt", content=prompt))


def _job(arena: Arena, battle_id: str, owner: str, draw: Draw, prompt: str) -> BattleJob:
    messages = (Message("user", prompt),)
    sampling = Sampling(max_tokens=arena.settings.max_tokens)
    return BattleJob(
        battle_id=battle_id,
        turn=1,
        sides=SideJobs(
            a=SideJob(model=draw.a, messages=messages, sampling=sampling),
            b=SideJob(model=draw.b, messages=messages, sampling=sampling),
        ),
        deadline=time.time() + arena.settings.deadline_s,
        session=session_word(arena.settings.signing_key(), owner),
    )


def session_word(key: str, owner: str) -> str:
    """What workers know a session by, to share engines fairly: the same for all its battles, and no way back to it."""
    secret = hashlib.blake2b(key.encode(), digest_size=32).digest()
    return hashlib.blake2b(owner.encode(), key=secret, digest_size=6, person=b"arena-fair").hexdigest()


def _fail(arena: Arena, battle_id: str) -> None:
    failure = {"code": _NOT_QUEUED.code, "message": _NOT_QUEUED.message, "retryable": True}
    arena.db.write(
        lambda s: s.execute(
            update(Battle)
            .where(Battle.id == battle_id, Battle.state == "queued")
            .values(state="failed", finished_at=now(), error=failure)
        )
    )
    announce(arena, battle_id, BattleFailed(error=_NOT_QUEUED))


def cancel(arena: Arena, owner: str | None, battle_id: str) -> str:
    """Ask for the end of a battle and return its state; one that is over stays as it is.

    A battle no worker has begun is cancelled here and now; a running one ends when its worker sees the request.
    Raises UnknownBattle.
    """
    state = arena.db.read(lambda s: owned(s, battle_id, owner).state)
    if state not in ("queued", "running"):
        return state
    channel.request_cancel(arena.redis, battle_id, "user")
    cancelled = arena.db.write(lambda s: _cancel_queued(s, battle_id))
    if cancelled:
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
