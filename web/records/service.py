"""What the records worker does, apart from Celery: every method may be run again with the same arguments.

The database is committed first and followers are told after it, so nobody is told what might be rolled back. A job
whose telling was cut off is run again; :meth:`Records._tell` then looks into the log and says only what was not said
yet.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

import msgspec
from redis.exceptions import RedisError
from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from web import counts
from web.arena import catalogue, pairs
from web.arena.excluded import ruled_since_newest_fit
from web.arena.integrity.noting import of_answer
from web.arena.transcript import good_turns, keep_text
from web.context import Arena
from web.models import Answer, Battle, Turn, Words, now
from web.queue import QueueError
from web.ratings.board import make_boards
from web.ratings.style import style
from web.records import redraw
from web.records.integrity import Integrity
from worker.contract import channel, jobs
from worker.contract.catalog import Catalog
from worker.contract.events import (
    SIDES,
    BattleCancelled,
    BattleFailed,
    BattleRestarted,
    BattleVotable,
    CancelledBy,
    Failure,
    StoredEvent,
    TurnRetried,
    TurnStarted,
)
from worker.contract.jobs import BattleResult, SideResult

log = logging.getLogger(__name__)

_LOST = Failure("internal", "The answers could not be produced. Please try again.", True)
_TOO_LATE = Failure("deadline_exceeded", "The answer took too long and was given up.", True)
_NOT_QUEUED = Failure("queue_unavailable", "Your battle could not be put in line. Please try again.", True)
_EMPTY = Failure("empty_answer", "One of the answers came out empty, so this battle cannot be voted.", True)
UNSTORED_S = 3600
"""Where texts are not stored, so long a battle whose turn has ended can still be read, judged and gone on with."""
_COOLDOWN_KEY = "arena:ratings:cooldown"
_DEFERRED_KEY = "arena:ratings:deferred"


class Records:
    """The tasks' work, on one arena."""

    def __init__(self, arena: Arena) -> None:
        self.arena = arena
        self._boards = make_boards(arena.settings)
        self._fitting = threading.Lock()
        self._noted: Catalog | None = None
        self.integrity = Integrity(arena)

    def started(self, battle_id: str, turn: int, attempt: int) -> None:
        """A worker claimed ``attempt``. Older attempts and battles that are over stay as they are."""

        def work(session: Session) -> None:
            battle = session.get(Battle, battle_id, with_for_update=True)
            if battle is None or battle.state not in ("queued", "running") or attempt < battle.attempt:
                return
            newest = session.get_one(Turn, (battle_id, battle.turns))
            if turn != newest.turn or attempt <= newest.before:
                return
            battle.state = "running"
            battle.attempt = attempt
            battle.started_at = battle.started_at or now()

        self.arena.db.write(work)

    def finished(self, result: BattleResult) -> None:
        """Store what became of an attempt, then tell. A result of an older attempt, turn or retry is ignored."""
        self._note_catalog()
        redraw.note(self.arena, result)
        if redraw.redrawn(self.arena, result):
            return
        event = self.arena.db.write(lambda s: _store_result(s, self.arena, result))
        if event is not None:
            self._tell(result.battle_id, result.turn, result.retry, event)

    def _note_catalog(self) -> None:
        """Whoever has competed keeps its name, should it leave the catalog before anybody votes on it."""
        catalog = self.arena.catalog
        if catalog is self._noted:
            return
        try:
            self.arena.db.write(lambda s: catalogue.remember(s, catalog))
        except IntegrityError:  # another records worker noted it in the same moment; the next result makes sure
            return
        self._noted = catalog

    def failed(self, task_id: str) -> None:
        """A job ended by an exception: its turn failed, unless it has an outcome already."""
        self._fail(task_id, _LOST)

    def give_up(self, task_id: str) -> None:
        """Nobody answered in time: the turn failed, unless it has an outcome already."""
        begun = self.arena.db.read(lambda s: _begun(s, *jobs.battle_of(task_id)[:2]))
        self._fail(task_id, _TOO_LATE if begun else _NOT_QUEUED)

    def _fail(self, task_id: str, why: Failure) -> None:
        battle_id, turn, retry = jobs.battle_of(task_id)
        event = self.arena.db.write(lambda s: _store_failure(s, battle_id, turn, retry, why))
        if event is not None:
            self._tell(battle_id, turn, retry, event)

    def refresh_ratings(self, deferred: bool = False) -> bool:
        """Judge new votes, then fit and store the leaderboards whose votes changed.

        False when nothing changed or it was put off.

        Calls closer together than the pause become one later, ``deferred`` call: a flood of votes costs one fit per
        pause.
        """
        if not self._may_refresh(deferred):
            return False
        db = self.arena.db
        with self._fitting:
            self.integrity.look()
            seen = db.read(lambda s: self._boards.changed(s, ruled_since_newest_fit(s)))
            if not seen:
                return False
            met = pairs.added_up(self._boards.book.counts())
            rows = self._boards.fit(seen)
            honesty = self._boards.honesty(seen)

            def store(session: Session) -> None:
                pairs.store(session, met)
                self._boards.store(session, rows, seen, honesty)
                catalogue.remember(session, self.arena.catalog)

            db.write(store)
            self._boards.stored(seen)
        return True

    def _may_refresh(self, deferred: bool) -> bool:
        pause = self.arena.settings.rating_pause_s
        redis = self.arena.redis
        try:
            if deferred:
                redis.delete(_DEFERRED_KEY)
            if pause <= 0 or redis.set(_COOLDOWN_KEY, b"1", nx=True, px=int(pause * 1000)):
                return True
            if redis.set(_DEFERRED_KEY, b"1", nx=True, ex=60):
                self.arena.queue.refresh_ratings_later(pause)
        except (RedisError, QueueError) as error:
            log.warning("ratings are refreshed without a pause: %s", type(error).__name__)
            return True
        return False

    def _tell(self, battle_id: str, turn: int, retry: int, event: StoredEvent) -> None:
        _, frames = channel.read_log(self.arena.redis, battle_id)
        told: set[type] = set()
        for kind in (type(frame.event) for frame in frames):
            told = set() if kind in (TurnStarted, TurnRetried, BattleRestarted) else told | {kind}
        if type(event) not in told:
            channel.publish(self.arena.redis, battle_id, [event], turn=turn, retry=retry)
            counts.add(self.arena.redis, f"turns_{_state_of(event)}")
        if self.arena.settings.store_text == "never":
            channel.expire(self.arena.redis, battle_id, UNSTORED_S)


def _store_result(session: Session, arena: Arena, result: BattleResult) -> StoredEvent | None:
    battle = session.get(Battle, result.battle_id, with_for_update=True)
    if battle is None:
        log.warning("a result for an unknown battle is dropped")
        return None
    turn = _newest(session, battle, result.turn, result.retry)
    if turn is None or result.attempt < battle.attempt or result.attempt <= turn.before:
        return None
    event = _outcome(result, _earlier(session, turn))
    if battle.state in ("finished", "failed", "cancelled"):
        return event if _state_of(event) == battle.state else None
    battle.attempt = result.attempt
    battle.started_at = battle.started_at or now()
    battle.finished_at = now()
    battle.state = _state_of(event)
    turn.votable = isinstance(event, BattleVotable)
    battle.votable = isinstance(event, BattleVotable) or event.votable
    battle.cancelled_by = event.by if isinstance(event, BattleCancelled) else None
    battle.cancel_reason = (event.reason or None) if isinstance(event, BattleCancelled) else None
    battle.error = _plain(event.error) if isinstance(event, BattleFailed) else None
    for side, model in zip(SIDES, (battle.model_a, battle.model_b), strict=True):
        if side in turn.trying:
            _store_answer(session, arena, result, side, model)
    return event


def _newest(session: Session, battle: Battle, turn: int, retry: int) -> Turn | None:
    """The turn, if it and its retry are what the battle is at now: what is told of an earlier one comes too late."""
    if battle.turns != turn or battle.deleted_at is not None:
        return None
    found = session.get(Turn, (battle.id, turn))
    return found if found is not None and found.retries == retry else None


def _earlier(session: Session, turn: Turn) -> bool:
    """Whether a turn before this one ended well, so that the battle can be voted without this one."""
    return bool(good_turns(session, turn.battle_id, before=turn.turn))


def _begun(session: Session, battle_id: str, turn: int) -> bool:
    battle, asked = session.get(Battle, battle_id), session.get(Turn, (battle_id, turn))
    return battle is not None and asked is not None and battle.attempt > asked.before


def _store_answer(session: Session, arena: Arena, result: BattleResult, side: str, model: str) -> None:
    ended: SideResult = getattr(result.sides, side)
    text = ended.text.replace("\x00", "")  # PostgreSQL cannot hold it
    key = {"battle_id": result.battle_id, "turn": result.turn}
    session.execute(delete(Answer).filter_by(**key, side=side))
    session.execute(delete(Words).filter_by(**key, part=side))
    session.add(
        Answer(
            **key,
            side=side,
            model=model,
            attempt=result.attempt,
            finish_reason=ended.finish_reason,
            prompt_tokens=ended.prompt_tokens,
            completion_tokens=ended.completion_tokens,
            queued_s=ended.timings.queued_s,
            first_token_s=ended.timings.first_token_s,
            duration_s=ended.timings.duration_s,
            style=style(text),
            error=_plain(ended.error),
            leaks=of_answer(text, arena.catalog, model),
        )
    )
    keep_text(session, arena.settings, result.battle_id, result.turn, side, text)


def _store_failure(session: Session, battle_id: str, turn: int, retry: int, why: Failure) -> BattleFailed | None:
    battle = session.get(Battle, battle_id, with_for_update=True)
    asked = _newest(session, battle, turn, retry) if battle is not None else None
    if battle is None or asked is None:
        return None
    event = BattleFailed(error=why, votable=_earlier(session, asked))
    if battle.state in ("queued", "running"):
        battle.state = "failed"
        battle.finished_at = now()
        battle.error = _plain(why)
        battle.votable = event.votable
    return event if battle.state == "failed" else None


def _outcome(result: BattleResult, earlier: bool) -> BattleVotable | BattleFailed | BattleCancelled:
    """How the turn ended; ``earlier``: one before it ended well."""
    if jobs.votable(result):
        return BattleVotable()
    sides = (result.sides.a, result.sides.b)
    failure = next((s.error for s in sides if s.error is not None), None)
    if result.cancelled_by is not None:
        return BattleCancelled(by=result.cancelled_by, reason=result.cancel_reason, votable=earlier)
    if failure is not None:
        return BattleFailed(error=failure, votable=earlier)
    if any(s.finish_reason == "cancelled" for s in sides):
        by: CancelledBy = "operator"
        return BattleCancelled(by=by, votable=earlier)
    return BattleFailed(error=_EMPTY, votable=earlier)


def _state_of(event: StoredEvent) -> str:
    if isinstance(event, BattleVotable):
        return "finished"
    return "cancelled" if isinstance(event, BattleCancelled) else "failed"


def _plain(failure: Failure | None) -> dict[str, Any] | None:
    plain: dict[str, Any] | None = msgspec.to_builtins(failure)
    return plain
