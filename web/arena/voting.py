"""The vote: one transaction decides whose it is, whether it may be cast, and that it is the only one.

What the voter says beside it (reasons of a closed set, a comment) may come with it or after it, and never changes it.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from redis.exceptions import RedisError
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from web.arena.asking import check_comment
from web.arena.excluded import reasons_against
from web.arena.integrity.marks import place
from web.arena.integrity.noting import of_vote
from web.arena.reveal import reveal
from web.arena.stopping import UNFINISHED, announce
from web.arena.views import owned
from web.context import Arena
from web.errors import AlreadyVoted, NotVotable, NotVoted
from web.models import Battle, Vote, now
from web.queue import QueueError
from web.ratings.gather import features_of
from worker.contract import channel
from worker.contract.catalog import Catalog
from worker.contract.events import BattleRevealed, BattleVoted, RevealedModels, Winner

log = logging.getLogger(__name__)

UNSTORED_S = 600
"""Where texts are not stored, so long a battle that was voted can still be read."""
NAMED_PAIR = "named_pair"
"""Why the vote on a pair that its asker named does not count."""
Why = Mapping[str, list[str]]
"""The voter's reasons, by side."""


@dataclass(frozen=True, slots=True)
class Ballot:
    """What a voter says. ``key``: the request's, so that a repeated one gets the first answer again.

    ``place``: a keyed hash of where it came from (see ``integrity.marks``).
    """

    winner: Winner
    key: str | None = None
    why: Why | None = None
    comment: str | None = None
    place: str | None = None


@dataclass(frozen=True, slots=True)
class Voted:
    """A stored vote. ``replayed``: this very request had been answered before."""

    winner: Winner
    models: RevealedModels
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Remarks:
    """What stands beside a vote now."""

    winner: str
    why: Why | None
    comment: str | None


def cast_vote(
    arena: Arena,
    owner: str | None,
    battle_id: str,
    winner: Winner,
    idempotency_key: str | None = None,
    *,
    why: Why | None = None,
    comment: str | None = None,
    address: str = "",
) -> Voted:
    """Store the vote, then reveal. Raises UnknownBattle, NotVotable, or AlreadyVoted with the vote that stands.

    The same ``idempotency_key`` with the same winner gets the first answer again. Raises the errors of a comment too.
    """
    where = place(address, arena.settings.signing_key())
    ballot = Ballot(winner, idempotency_key, _plain(why), _kept(arena, comment), where)
    try:
        voted = arena.db.write(lambda s: _store(s, arena.catalog, owner, battle_id, ballot))
    except IntegrityError:  # two databases' worth of the same moment: the constraint had the last word
        voted = None
    if voted is None:
        return arena.db.read(lambda s: _standing(s, arena.catalog, owner, battle_id, ballot))
    announce(arena, battle_id, BattleVoted(winner=winner), BattleRevealed(models=voted.models))
    if arena.settings.store_text == "never":
        with contextlib.suppress(RedisError):
            channel.expire(arena.redis, battle_id, UNSTORED_S)
    try:
        arena.queue.refresh_ratings()
    except QueueError as error:
        log.warning("the leaderboard will learn of a vote only with the next one: %s", type(error).__name__)
    return voted


def remark(arena: Arena, owner: str | None, battle_id: str, changes: Mapping[str, Any]) -> Remarks:
    """Put ``why`` and ``comment``, those of them that are in ``changes``, beside a vote that was cast; None takes away.

    Raises UnknownBattle, NotVoted and the errors of a comment.
    """
    new = dict(changes)
    if "why" in new:
        new["why"] = _plain(new["why"])
    if "comment" in new:
        new["comment"] = _kept(arena, new["comment"])
    return arena.db.write(lambda s: _remarked(s, owner, battle_id, new))


def _remarked(session: Session, owner: str | None, battle_id: str, new: Mapping[str, Any]) -> Remarks:
    owned(session, battle_id, owner)
    vote = session.scalar(select(Vote).where(Vote.battle_id == battle_id))
    if vote is None:
        raise NotVoted()
    for name, value in new.items():
        setattr(vote, name, value)
    return Remarks(vote.winner, vote.why, vote.comment)


def _plain(why: Why | None) -> dict[str, list[str]] | None:
    """Each reason once, sides without any left out."""
    found = {side: sorted(set(reasons)) for side, reasons in (why or {}).items() if reasons}
    return found or None


def _kept(arena: Arena, comment: str | None) -> str | None:
    checked = check_comment(comment, arena.settings.comment_max_chars)
    return checked if arena.settings.store_text == "always" else None


def _store(session: Session, catalog: Catalog, owner: str | None, battle_id: str, ballot: Ballot) -> Voted | None:
    battle = owned(session, battle_id, owner)
    at = now()
    changed = session.execute(
        update(Battle)
        .where(
            Battle.id == battle_id,
            Battle.owner == owner,
            Battle.votable.is_(True),
            Battle.state.not_in(UNFINISHED),
            Battle.voted_at.is_(None),
            Battle.deleted_at.is_(None),
        )
        .values(voted_at=at)
        .returning(Battle.id)
        .execution_options(synchronize_session=False)
    ).first()
    if changed is None:
        return None
    against = [*([] if battle.ranked else [NAMED_PAIR]), *reasons_against(session, battle.owner)]
    mark, evidence = of_vote(session, battle, at)
    session.add(
        Vote(
            battle_id=battle_id,
            owner=owner,
            winner=ballot.winner,
            model_a=battle.model_a,
            model_b=battle.model_b,
            counted=not against,
            reasons=against,
            idempotency_key=ballot.key,
            why=ballot.why,
            comment=ballot.comment,
            features=features_of(session, battle),
            place=ballot.place,
            prompt_mark=mark,
            evidence=evidence,
            judged=False,
            created_at=at,
        )
    )
    session.flush()
    return Voted(ballot.winner, reveal(session, catalog, battle))


def _standing(session: Session, catalog: Catalog, owner: str | None, battle_id: str, ballot: Ballot) -> Voted:
    battle = owned(session, battle_id, owner)
    vote = session.scalar(select(Vote).where(Vote.battle_id == battle_id))
    if vote is None:
        raise NotVotable(_why_not(battle), state=battle.state)
    models = reveal(session, catalog, battle)
    if ballot.key is not None and ballot.key == vote.idempotency_key and ballot.winner == vote.winner:
        return Voted(ballot.winner, models, replayed=True)
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
