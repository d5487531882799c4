"""Putting a stored battle in line: its prompt onto its log, its job onto the broker. May be done again at any time.

Whoever does it again (the reconciler, when a job was lost) sends the same job under the same name, so that a worker
that has the first one joins both; and it keeps the battle's first deadline, so that nothing is retried for ever.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from web.context import Arena
from web.models import Battle, Words
from worker.contract import channel
from worker.contract.events import TurnStarted
from worker.contract.jobs import BattleJob, Message, Sampling, SideJob, SideJobs, task_id


@dataclass(frozen=True, slots=True)
class Asked:
    """All of a turn that its job is made from. ``attempts``: how many have begun, as far as the database knows."""

    battle_id: str
    turn: int
    owner: str
    models: tuple[str, str]
    prompt: str
    created_at: datetime
    attempts: int = 0

    @property
    def task_id(self) -> str:
        return task_id(self.battle_id, self.turn)


def read_asked(session: Session, battle_id: str) -> Asked | None:
    """The newest turn of a battle; None when the battle or its prompt is gone."""
    battle = session.get(Battle, battle_id)
    if battle is None:
        return None
    words = session.get(Words, (battle_id, battle.turns, "prompt"))
    if words is None:
        return None
    models = (battle.model_a, battle.model_b)
    return Asked(battle_id, battle.turns, battle.owner, models, words.content, battle.created_at, battle.attempt)


def put_in_line(arena: Arena, asked: Asked) -> None:
    """Raises RedisError or QueueError; then the turn may or may not be in line."""
    channel.publish(arena.redis, asked.battle_id, [TurnStarted(turn=asked.turn, prompt=asked.prompt)])
    arena.queue.run_battle(_job(arena, asked))


def _job(arena: Arena, asked: Asked) -> BattleJob:
    messages = (Message("user", asked.prompt),)
    sampling = Sampling(max_tokens=arena.settings.max_tokens)
    a, b = (SideJob(model=model, messages=messages, sampling=sampling) for model in asked.models)
    return BattleJob(
        battle_id=asked.battle_id,
        turn=asked.turn,
        sides=SideJobs(a=a, b=b),
        deadline=asked.created_at.timestamp() + arena.settings.deadline_s,
        session=session_word(arena.settings.signing_key(), asked.owner),
        attempts=asked.attempts,
    )


def session_word(key: str, owner: str) -> str:
    """What workers know a session by, to share engines fairly: the same for all its battles, and no way back to it."""
    secret = hashlib.blake2b(key.encode(), digest_size=32).digest()
    return hashlib.blake2b(owner.encode(), key=secret, digest_size=6, person=b"arena-fair").hexdigest()
