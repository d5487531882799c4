"""Ending a turn before its end: by who asked it, or by an operator, with words for who asked it.

The wish reaches the worker's flag before the database says that nobody began the turn, so that no answer can slip
between them. (The third ending, a worker that goes away, is none: its jobs go back to the queue.)
"""

from __future__ import annotations

import logging

from redis.exceptions import RedisError
from sqlalchemy.orm import Session

from web.arena.transcript import good_turns
from web.arena.views import owned
from web.context import Arena
from web.models import Battle, Turn, now
from worker.contract import channel
from worker.contract.events import REASON_MAX, BattleCancelled, CancelledBy, StoredEvent

log = logging.getLogger(__name__)

UNFINISHED = ("queued", "running")


def cancel(arena: Arena, owner: str | None, battle_id: str) -> str:
    """Ask for the end of one's battle and return its state; one that is over stays as it is.

    A turn no worker has begun is cancelled here and now; a running one ends when its worker sees the request.
    Raises UnknownBattle.
    """
    arena.db.read(lambda s: owned(s, battle_id, owner))
    return stop(arena, battle_id, "user")


def stop(arena: Arena, battle_id: str, by: CancelledBy, reason: str = "") -> str:
    """The same for whoever may. ``reason``: an operator's words, cut off at ``REASON_MAX`` characters.

    Returns the state the battle is in now; ``cancelled`` for one that is not there.
    """
    reason = reason[:REASON_MAX]
    turn = arena.db.read(lambda s: _unfinished(s, battle_id))
    if turn is not None:
        place = {"turn": turn.turn, "retry": turn.retries}
        channel.request_cancel(arena.redis, battle_id, by, reason, **place)
        if channel.newest_attempt(arena.redis, battle_id) <= turn.before:
            event = arena.db.write(lambda s: _cancelled(s, battle_id, turn, by, reason))
            if event is not None:
                announce(arena, battle_id, event, **place)
    return arena.db.read(lambda s: _state(s, battle_id))


def _state(session: Session, battle_id: str) -> str:
    battle = session.get(Battle, battle_id)
    return "cancelled" if battle is None else battle.state


def _unfinished(session: Session, battle_id: str) -> Turn | None:
    battle = session.get(Battle, battle_id)
    if battle is None or battle.state not in UNFINISHED:
        return None
    return session.get(Turn, (battle_id, battle.turns))


def _cancelled(session: Session, battle_id: str, seen: Turn, by: CancelledBy, reason: str) -> BattleCancelled | None:
    """End the turn that was ``seen`` if no worker has begun it; None when one has, or another turn has come."""
    battle = session.get(Battle, battle_id, with_for_update=True)
    turn = session.get(Turn, (battle_id, seen.turn))
    if battle is None or turn is None or (battle.turns, turn.retries) != (seen.turn, seen.retries):
        return None
    if battle.state != "queued" or battle.attempt > turn.before:
        return None
    event = BattleCancelled(by, reason, votable=bool(good_turns(session, battle_id, before=turn.turn)))
    battle.state, battle.finished_at = "cancelled", now()
    battle.cancelled_by, battle.cancel_reason, battle.votable = by, reason or None, event.votable
    return event


def announce(arena: Arena, battle_id: str, *events: StoredEvent, turn: int = 0, retry: int = 0) -> None:
    """Tell followers what is already stored; when Redis is away they learn it from the next snapshot."""
    try:
        channel.publish(arena.redis, battle_id, events, turn=turn, retry=retry)
    except RedisError as error:
        log.warning("battle %s: announcement lost: %s", battle_id, type(error).__name__)
