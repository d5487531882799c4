"""Deleting one's battle: what was written, and whose it was, go; the vote and what the ranking needs stay.

A deleted vote must still be told from another voter's, or a crowd of votes by one session could be washed by deleting
them. So the voter is replaced by a word that is the same for all deleted battles of one session, leads nowhere without
the arena's key, and is no session's own.
"""

from __future__ import annotations

import contextlib
import hashlib

from redis.exceptions import RedisError
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from web.arena.stopping import UNFINISHED
from web.arena.views import owned
from web.context import Arena
from web.models import Battle, Vote, Words, now
from worker.contract import channel


def forget(arena: Arena, owner: str | None, battle_id: str) -> None:
    """Delete one's battle; a running one is stopped. Raises UnknownBattle, and RedisError before anything is gone.

    The log goes first, and whoever still writes to it is fenced off, so that nothing is said after the texts are gone.
    """
    battle = arena.db.read(lambda s: owned(s, battle_id, owner))
    channel.close(arena.redis, battle_id)
    if battle.state in UNFINISHED:
        channel.request_cancel(arena.redis, battle_id, "user")
    word = deleted_word(arena.settings.signing_key(), battle.owner)
    arena.db.write(lambda s: _forget(s, owner, battle_id, word))
    with contextlib.suppress(RedisError):  # pages that still show it learn that it is gone
        channel.close(arena.redis, battle_id)


def _forget(session: Session, owner: str | None, battle_id: str, word: str) -> None:
    session.get(Battle, battle_id, with_for_update=True)
    battle = owned(session, battle_id, owner)
    session.execute(delete(Words).where(Words.battle_id == battle_id))
    if battle.state in UNFINISHED:
        battle.state, battle.cancelled_by, battle.finished_at = "cancelled", "user", now()
    battle.owner = word
    battle.deleted_at = now()
    battle.share_id = None
    battle.votable = False
    battle.sampling = {k: v for k, v in (battle.sampling or {}).items() if k != "stop"} or None
    vote = session.scalar(select(Vote).where(Vote.battle_id == battle_id))
    if vote is not None:
        vote.owner = word
        vote.comment = vote.idempotency_key = None


def deleted_word(key: str, owner: str) -> str:
    """What stands for ``owner`` (a session's hash) in its deleted battles and their votes: 64 hex digits."""
    secret = hashlib.blake2b(key.encode(), digest_size=32).digest()
    return hashlib.blake2b(owner.encode(), key=secret, digest_size=32, person=b"arena-deleted").hexdigest()
