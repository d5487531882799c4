"""A battle that its owner shows to others: after the vote, read-only, until they take it back."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from web.arena.transcript import good_turns, said_in
from web.arena.views import owned, stored_view
from web.context import Arena
from web.errors import NotVoted, TextsGone, UnknownShare
from web.models import Battle
from worker.contract.catalog import Catalog
from worker.contract.events import RevealedModels, TurnView


@dataclass(frozen=True, slots=True)
class Shared:
    """What anybody may read: the turns that were judged, the verdict, the names. Nothing of whose it is."""

    share_id: str
    created_at: str
    turns: tuple[TurnView, ...]
    winner: str
    models: RevealedModels


def share(arena: Arena, owner: str | None, battle_id: str) -> tuple[str, bool]:
    """The battle's share id, and whether it was made by this call. Raises UnknownBattle, NotVoted or TextsGone."""
    return arena.db.write(lambda s: _share(s, owner, battle_id))


def _share(session: Session, owner: str | None, battle_id: str) -> tuple[str, bool]:
    session.get(Battle, battle_id, with_for_update=True)
    battle = owned(session, battle_id, owner)
    if battle.voted_at is None:
        raise NotVoted("A battle can be shared once you have voted.")
    if battle.share_id is not None:
        return battle.share_id, False
    said = said_in(session, battle_id)
    if any((turn, "prompt") not in said for turn in good_turns(session, battle_id)):
        raise TextsGone("What was said in this battle is not stored, so there is nothing to show to others.")
    battle.share_id = secrets.token_urlsafe(16)
    return battle.share_id, True


def unshare(arena: Arena, owner: str | None, battle_id: str) -> None:
    """Nobody else can read it any more; nothing happens to one that is not shared. Raises UnknownBattle."""

    def work(session: Session) -> None:
        owned(session, battle_id, owner).share_id = None

    arena.db.write(work)


def read_share(session: Session, catalog: Catalog, share_id: str) -> Shared:
    """Raises UnknownShare, also for one that was taken back."""
    battle = session.scalar(select(Battle).where(Battle.share_id == share_id))
    view = stored_view(session, catalog, battle) if battle is not None and battle.deleted_at is None else None
    if battle is None or view is None or view.winner is None or view.models is None:
        raise UnknownShare()
    judged = good_turns(session, battle.id)
    turns = tuple(t for t in view.turns if t.turn in judged)
    return Shared(share_id, battle.created_at.isoformat(), turns, view.winner, view.models)
