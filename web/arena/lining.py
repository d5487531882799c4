"""Putting a stored turn in line: its prompt onto its log, its job onto the broker. May be done again at any time.

Whoever does it again (the reconciler, when a job was lost) sends the same job under the same name, so that a worker
that has the first one joins both; and it keeps the turn's first deadline, so that nothing is retried for ever.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

import msgspec
from sqlalchemy.orm import Session

from web.arena.transcript import Said, good_turns, messages, said_in, standing
from web.context import Arena
from web.models import Answer, Battle, Turn
from web.settings import WebSettings
from worker.contract import channel
from worker.contract.events import SIDES, Side, StoredEvent, TurnRetried, TurnStarted
from worker.contract.jobs import (
    BattleJob,
    Message,
    Sampling,
    SideJob,
    SideJobs,
    SideResult,
    models_of,
    task_id,
)
from worker.contract.residency import Residency


@dataclass(frozen=True, slots=True)
class Asked:
    """All of a turn that its job is made from. ``attempts``: how many have begun, as far as the database knows.

    ``before``: attempts that served earlier turns and retries. ``stands``: the side that is not answered again, with
    its answer.
    """

    battle_id: str
    owner: str
    models: tuple[str, str]
    told: tuple[tuple[Message, ...], tuple[Message, ...]]
    """What each side is told, its own answers included; the last message is the prompt."""
    asked_at: datetime
    turn: int = 1
    retry: int = 0
    trying: str = "ab"
    attempts: int = 0
    before: int = 0
    sampling: dict[str, Any] | None = field(default=None, repr=False)
    stands: SideResult | None = None

    @property
    def task_id(self) -> str:
        return task_id(self.battle_id, self.turn, self.retry)

    @property
    def beginning(self) -> StoredEvent:
        """What followers are told first."""
        if self.retry:
            return TurnRetried(self.turn, self.retry, tuple(s for s in SIDES if s in self.trying))
        return TurnStarted(turn=self.turn, prompt=self.told[0][-1].content)


def read_asked(session: Session, battle_id: str, live: Said = MappingProxyType({})) -> Asked | None:
    """The newest turn of a battle; None when the battle is gone, or something that was said in it.

    ``live``: texts that are known without the database (see ``transcript.said_live``).
    """
    battle = session.get(Battle, battle_id)
    turn = session.get(Turn, (battle_id, battle.turns)) if battle else None
    if battle is None or turn is None:
        return None
    said = {**live, **said_in(session, battle_id)}
    good = good_turns(session, battle_id, before=turn.turn) if turn.turn > 1 else []
    a, b = (messages(said, good, turn.turn, side) for side in SIDES)
    stands = None
    if a is None or b is None:
        return None
    for side in (s for s in SIDES if s not in turn.trying):
        answer, text = session.get(Answer, (battle_id, turn.turn, side)), said.get((turn.turn, side))
        if answer is None or text is None:
            return None
        stands = standing(answer, text)
    return Asked(
        battle_id=battle_id,
        owner=battle.owner,
        models=(battle.model_a, battle.model_b),
        told=(a, b),
        asked_at=turn.asked_at,
        turn=turn.turn,
        retry=turn.retries,
        trying=turn.trying,
        attempts=max(battle.attempt, turn.before),
        before=turn.before,
        sampling=battle.sampling,
        stands=stands,
    )


def put_in_line(arena: Arena, asked: Asked, reports: Sequence[Residency] = ()) -> None:
    """Where the ``reports`` say it starts soonest. Raises RedisError or QueueError; then it may be in line or not."""
    job = _job(arena.settings, asked)
    channel.publish(arena.redis, asked.battle_id, [asked.beginning])
    arena.queue.run_battle(job, arena.placer.place(reports, models_of(job)))


def _job(settings: WebSettings, asked: Asked) -> BattleJob:
    sampling = _sampling(settings, asked.sampling)

    def side(n: int, name: Side) -> SideJob:
        answered = None if name in asked.trying else asked.stands
        return SideJob(asked.models[n], asked.told[n], sampling, answered)

    return BattleJob(
        battle_id=asked.battle_id,
        turn=asked.turn,
        sides=SideJobs(a=side(0, "a"), b=side(1, "b")),
        deadline=asked.asked_at.timestamp() + settings.deadline_s,
        session=session_word(settings.signing_key(), asked.owner),
        attempts=asked.attempts,
        retry=asked.retry,
        before=asked.before,
    )


def _sampling(settings: WebSettings, chosen: dict[str, Any] | None) -> Sampling:
    """What the asker chose, the same for both sides; never longer answers than the arena allows."""
    sampling = msgspec.convert(chosen or {}, Sampling)
    limits = [n for n in (sampling.max_tokens, settings.max_tokens) if n is not None]
    return msgspec.structs.replace(sampling, max_tokens=min(limits, default=None))


def session_word(key: str, owner: str) -> str:
    """What workers know a session by, to share engines fairly: the same for all its battles, and no way back to it."""
    secret = hashlib.blake2b(key.encode(), digest_size=32).digest()
    return hashlib.blake2b(owner.encode(), key=secret, digest_size=6, person=b"arena-fair").hexdigest()
