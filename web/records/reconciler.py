"""Finds battles whose job is nowhere and puts them in line again.

A job can be lost between the broker's list and a worker's hands, with a worker that is killed, with a server that comes
back without its newest data, or before it was ever sent. So nothing is concluded from how it was lost: a battle that
is not over must be in some worker's hands or in the broker's list, and one that is in neither at two looks is sent
again. Doing that once too often harms nobody: a worker that has the job joins the copy to it, and one whose turn has
been answered is given the answer.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from redis.exceptions import RedisError
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from web.arena.lining import put_in_line, read_asked
from web.arena.transcript import said_live
from web.context import Arena
from web.models import Battle, Turn, now
from web.queue import QueueError
from web.records import broker, stranded
from web.records.service import Records
from worker.contract import channel, holding, residency
from worker.contract.jobs import BattleResult, read_result, task_id

log = logging.getLogger(__name__)

EVERY_S = 2.0
YOUNG_S = 4.0
"""A turn asked for less long ago may still be on its way to the broker."""
LOST_S = 1.5
"""So long, and so at two looks, a battle must be nowhere: a worker that takes one says so at once."""
UNTOLD_S = 10.0
"""So long a result may be on its way through queue ``records`` before it is stored from where it is kept."""
OVERDUE_S = 10.0
"""Workers end what is late themselves; what waits in line for so long after its deadline waits for nobody."""
_AT_ONCE = 500
_LEADER_KEY = "arena:records:reconciler"
_LEADER_S = 10


@dataclass(frozen=True, slots=True)
class _Unfinished:
    """``asked_at``: when its newest turn was asked, or last asked for again."""

    battle: str
    task: str
    asked_at: datetime


class Reconciler:
    """``look`` every :data:`EVERY_S` seconds; of several records workers only one looks at a time."""

    def __init__(self, arena: Arena, records: Records, clock: Callable[[], float] = time.monotonic) -> None:
        self._arena = arena
        self._records = records
        self._clock = clock
        self._me = secrets.token_hex(8)
        self._missing: dict[str, float] = {}
        """Since when each task has been nowhere."""

    def look(self) -> int:
        """Recover what was lost; how many battles. Never raises: what cannot be done now is done at a later look."""
        try:
            return self._look()
        except (RedisError, SQLAlchemyError, QueueError, OSError) as error:
            log.warning("lost battles cannot be looked for now: %s", type(error).__name__)
            return 0

    def _look(self) -> int:
        if not self._leading():
            self._missing = {}
            return 0
        stranded.move(self._arena)
        missing = self._nowhere()
        at = self._clock()
        self._missing = {task: self._missing.get(task, at) for task in missing}
        lost = [u for task, u in missing.items() if at - self._missing[task] >= LOST_S]
        return sum(self._recover(u, at - self._missing[u.task]) for u in lost)

    def _leading(self) -> bool:
        redis = self._arena.redis
        if redis.set(_LEADER_KEY, self._me, nx=True, ex=_LEADER_S):
            return True
        if redis.get(_LEADER_KEY) != self._me.encode():
            return False
        redis.expire(_LEADER_KEY, _LEADER_S)
        return True

    def _nowhere(self) -> dict[str, _Unfinished]:
        """Battles in nobody's hands and in no list. Read in the order in which a job moves, so none slips between."""
        found = {u.task: u for u in self._arena.db.read(_unfinished)}
        if found:
            for task in broker.in_line(self._arena.redis) & found.keys():
                waiting = found.pop(task)
                if self._late(waiting, OVERDUE_S):
                    self._give_up(waiting)
        if found:
            for task in holding.read(self._arena.redis):
                found.pop(task, None)
        return found

    def _recover(self, lost: _Unfinished, since_s: float) -> bool:
        kept = self._kept(lost)
        if kept is not None:
            if since_s < UNTOLD_S:
                return False
            log.warning("the result of battle %s was lost on its way; it is stored from the log", lost.battle)
            self._records.finished(kept)
        elif self._late(lost):
            self._give_up(lost)
        else:
            self._send_again(lost)
        del self._missing[lost.task]
        return True

    def _late(self, battle: _Unfinished, by_s: float = 0.0) -> bool:
        return now() > battle.asked_at + timedelta(seconds=self._arena.settings.deadline_s + by_s)

    def _give_up(self, late: _Unfinished) -> None:
        log.error("battle %s could not be answered in time", late.battle)
        self._records.give_up(late.task)

    def _kept(self, lost: _Unfinished) -> BattleResult | None:
        """What the lost turn came to, if it came to something; not what an earlier one did."""
        kept = channel.kept_result(self._arena.redis, lost.battle)
        try:
            result = read_result(kept) if kept is not None else None
        except msgspec.DecodeError as error:
            log.error("a kept result of the wrong form is dropped: %s", error)
            return None
        same = result is not None and task_id(result.battle_id, result.turn, result.retry) == lost.task
        return result if same else None

    def _send_again(self, lost: _Unfinished) -> None:
        live = said_live(self._arena.redis, self._arena.settings, lost.battle)
        asked = self._arena.db.read(lambda s: read_asked(s, lost.battle, live))
        if asked is None:
            self._records.give_up(lost.task)
            return
        if asked.task_id != lost.task:
            return  # asked for again since it was missed
        log.warning("the job of battle %s was lost; it is put in line again", lost.battle)
        broker.forget(self._arena.redis, {lost.task})
        put_in_line(self._arena, asked, residency.read(self._arena.redis))


def _unfinished(session: Session) -> list[_Unfinished]:
    old_enough = now() - timedelta(seconds=YOUNG_S)
    rows: Any = session.execute(
        select(Battle.id, Battle.turns, Turn.retries, Turn.asked_at)
        .join(Turn, (Turn.battle_id == Battle.id) & (Turn.turn == Battle.turns))
        .where(Battle.state.in_(("queued", "running")), Turn.asked_at < old_enough)
        .order_by(Turn.asked_at)
        .limit(_AT_ONCE)
    )
    return [_Unfinished(battle, task_id(battle, turn, n), at.astimezone(UTC)) for battle, turn, n, at in rows]
