"""The vote: one transaction decides whose it is, whether it may be cast, and that it is the only one."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from web.arena.battles import announce
from web.arena.excluded import reasons_against
from web.arena.reveal import reveal
from web.arena.views import owned
from web.context import Arena
from web.errors import AlreadyVoted, NotVotable
from web.models import Battle, Vote, now
from web.queue import QueueError
from worker.contract.catalog import Catalog
from worker.contract.events import BattleRevealed, BattleVoted, RevealedModels, Winner

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Voted:
    """A stored vote. ``replayed``: this very request had been answered before."""

    winner: Winner
    models: RevealedModels
    replayed: bool = False


def cast_vote(
    arena: Arena, owner: str | None, battle_id: str, winner: Winner, idempotency_key: str | None = None
) -> Voted:
    """Store the vote, then reveal. Raises UnknownBattle, NotVotable, or AlreadyVoted with the vote that stands.

    The same ``idempotency_key`` with the same winner gets the first answer again.
    """
    try:
        voted = arena.db.write(lambda s: _store(s, arena.catalog, owner, battle_id, winner, idempotency_key))
    except IntegrityError:  # two databases' worth of the same moment: the constraint had the last word
        voted = None
    if voted is None:
        return arena.db.read(lambda s: _standing(s, arena.catalog, owner, battle_id, winner, idempotency_key))
    announce(arena, battle_id, BattleVoted(winner=winner), BattleRevealed(models=voted.models))
    try:
        arena.queue.refresh_ratings()
    except QueueError as error:
        log.warning("the leaderboard will learn of a vote only with the next one: %s", type(error).__name__)
    return voted


def _store(
    session: Session, catalog: Catalog, owner: str | None, battle_id: str, winner: Winner, key: str | None
) -> Voted | None:
    battle = owned(session, battle_id, owner)
    changed = session.execute(
        update(Battle)
        .where(
            Battle.id == battle_id,
            Battle.owner == owner,
            Battle.state == "finished",
            Battle.votable.is_(True),
            Battle.voted_at.is_(None),
        )
        .values(voted_at=now())
        .returning(Battle.id)
        .execution_options(synchronize_session=False)
    ).first()
    if changed is None:
        return None
    against = reasons_against(session, battle.owner)
    session.add(
        Vote(
            battle_id=battle_id,
            owner=owner,
            winner=winner,
            model_a=battle.model_a,
            model_b=battle.model_b,
            counted=not against,
            reasons=against,
            idempotency_key=key,
        )
    )
    session.flush()
    return Voted(winner, reveal(session, catalog, battle))


def _standing(
    session: Session, catalog: Catalog, owner: str | None, battle_id: str, winner: Winner, key: str | None
) -> Voted:
    battle = owned(session, battle_id, owner)
    vote = session.scalar(select(Vote).where(Vote.battle_id == battle_id))
    if vote is None:
        raise NotVotable(_why_not(battle), state=battle.state)
    models = reveal(session, catalog, battle)
    if key is not None and key == vote.idempotency_key and winner == vote.winner:
        return Voted(winner, models, replayed=True)
    plain: dict[str, Any] = msgspec.to_builtins(models)
    raise AlreadyVoted("This battle has your vote already.", winner=vote.winner, models=plain)


def _why_not(battle: Battle) -> str:
    match battle.state:
        case "queued" | "running":
            return "Both answers must be complete before you can vote."
        case "cancelled":
            return "This battle was stopped, so it cannot be voted."
        case _:
            return "One of the answers failed, so this battle cannot be voted."
