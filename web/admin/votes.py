"""Votes taken out of the count and put back, one by one or with their session. No vote is ever deleted or rewritten:
what changes is whether it counts, and why not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from web.access import Key
from web.admin.errors import Unchanged, UnknownSession, UnknownVote
from web.admin.log import name_of, note
from web.arena.deletion import deleted_word
from web.arena.excluded import FLAGGED, QUARANTINED, add_reason, ranked_of, remove_reason
from web.arena.integrity.rules import AUTOMATIC, BURST, CLEARED, OF_VOTES, RING
from web.models import Battle, Quarantine, Vote, now

_LOOKED_AT = 2000
"""Votes read for one page of sessions, at most; a page may therefore be short, or even empty, and not be the last."""


def listed(
    session: Session, before: int | None, limit: int, owner: str | None = None, counted: bool | None = None
) -> list[Vote]:
    """Newest first, those with an id below ``before``."""
    wanted = select(Vote).order_by(Vote.id.desc()).limit(limit)
    if before is not None:
        wanted = wanted.where(Vote.id < before)
    if owner is not None:
        wanted = wanted.where(Vote.owner == owner)
    if counted is not None:
        wanted = wanted.where(Vote.counted.is_(counted))
    return list(session.scalars(wanted))


def flag(session: Session, by: Key, vote_id: int, reason: str) -> Vote:
    """Have a vote not count. Raises UnknownVote or Unchanged."""
    vote = _vote(session, vote_id)
    if not add_reason(vote, FLAGGED):
        raise Unchanged("This vote is flagged already.")
    note(session, by, "vote.flag", str(vote_id), reason)
    return vote


def unflag(session: Session, by: Key, vote_id: int, reason: str) -> Vote:
    """Undo :func:`flag` and whatever the rules of ``arena.integrity`` had against the vote, for good.

    The vote counts when nothing else is against it, such as its session's quarantine. Raises UnknownVote or Unchanged.
    """
    vote = _vote(session, vote_id)
    ranked = ranked_of(session, [vote])
    if not [known for known in (FLAGGED, *OF_VOTES) if remove_reason(vote, known, ranked)]:
        raise Unchanged("This vote is not flagged.")
    vote.evidence = {**(vote.evidence or {}), CLEARED: True}
    note(session, by, "vote.unflag", str(vote_id), reason)
    return vote


@dataclass(frozen=True, slots=True)
class Voter:
    """A session, or a key, by its hash. ``quarantined_at``, ``quarantined_by``: set while it is set apart."""

    owner: str
    votes: int
    counted: int
    newest_vote_at: datetime | None
    quarantined_at: datetime | None
    quarantined_by: str
    reason: str


def voters(session: Session, before: int | None, limit: int) -> tuple[list[Voter], int | None]:
    """Those who voted, by their newest vote; and below which id to go on, None at the end."""
    recent = session.execute(
        select(Vote.id, Vote.owner)
        .where(Vote.id < before if before is not None else Vote.id > 0)
        .order_by(Vote.id.desc())
        .limit(_LOOKED_AT)
    ).all()
    owners: dict[str, None] = {}
    last = None
    for vote_id, owner in recent:
        if owner not in owners and len(owners) == limit:
            break
        owners[owner] = None
        last = vote_id
    ended = len(recent) < _LOOKED_AT and last == (recent[-1][0] if recent else None)
    shown = [o for o in owners if o and not _has_newer(session, o, before)]
    return _told(session, shown), None if ended else last


def set_apart(session: Session) -> list[Voter]:
    """Sessions in quarantine, latest first; the first thousand."""
    rows = session.scalars(
        select(Quarantine.owner)
        .where(Quarantine.released_at.is_(None))
        .order_by(Quarantine.created_at.desc())
        .limit(1000)
    )
    return _told(session, list(rows))


def quarantine(session: Session, by: Key | str, owner: str, reason: str, key: str) -> int:
    """Have no vote of ``owner`` count, cast or to be cast, also those of battles it deleted; how many that took out.

    Raises UnknownSession, or Unchanged when it is set apart already and every vote of it is out.
    """
    row = session.get(Quarantine, owner, with_for_update=True)
    whose = _names(owner, key)
    if row is None and not _known(session, whose):
        raise UnknownSession()
    changed = sum(add_reason(vote, QUARANTINED) for vote in _votes_of(session, whose))
    active = row is not None and row.released_at is None
    if active and not changed:
        raise Unchanged("This session is set apart already.")
    if row is None:
        session.add(Quarantine(owner=owner, reason=reason, created_at=now(), released_at=None, by=name_of(by)))
    elif not active:
        row.reason, row.created_at, row.released_at, row.by = reason, now(), None, name_of(by)
    note(session, by, "session.quarantine", owner, reason)
    return changed


def release(session: Session, by: Key | str, owner: str, reason: str, key: str) -> int:
    """Undo :func:`quarantine`; how many votes count again. Raises UnknownSession or Unchanged.

    By an operator also what the rules found in what the session did together with others: it is trusted from now on.
    """
    row = session.get(Quarantine, owner, with_for_update=True)
    whose = _names(owner, key)
    if row is None and not _known(session, whose):
        raise UnknownSession()
    if row is None or row.released_at is not None:
        raise Unchanged("This session is not set apart.")
    row.released_at, row.released_by = now(), name_of(by)
    votes = _votes_of(session, whose)
    ranked = ranked_of(session, votes)
    undone = (QUARANTINED,) if by == AUTOMATIC else (QUARANTINED, RING, BURST)
    moved = [any([remove_reason(vote, reason, ranked) for reason in undone]) for vote in votes]  # noqa: C419 (all of them)
    counted = sum(did and vote.counted for did, vote in zip(moved, votes, strict=True))
    note(session, by, "session.release", owner, reason)
    return counted


# ── what they share ──────────────────────────────────────────────────────────────────────────────────────────────


def _vote(session: Session, vote_id: int) -> Vote:
    vote = session.get(Vote, vote_id, with_for_update=True)
    if vote is None:
        raise UnknownVote()
    return vote


def _names(owner: str, key: str) -> tuple[str, str]:
    """What ``owner`` is called, and what it is called where it deleted a battle. ``key``: what signs cookies."""
    return owner, deleted_word(key, owner)


def _votes_of(session: Session, whose: tuple[str, str]) -> Sequence[Vote]:
    return session.scalars(select(Vote).where(Vote.owner.in_(whose)).with_for_update()).all()


def _known(session: Session, whose: tuple[str, str]) -> bool:
    asked = select(Battle.id).where(Battle.owner.in_(whose)).limit(1)
    return session.scalar(asked) is not None or any(listed(session, None, 1, name) for name in whose)


def _has_newer(session: Session, owner: str, before: int | None) -> bool:
    """Whether an earlier page had it."""
    if before is None:
        return False
    return session.scalar(select(Vote.id).where(Vote.owner == owner, Vote.id >= before).limit(1)) is not None


def _told(session: Session, owners: Sequence[str]) -> list[Voter]:
    counts = {
        owner: (votes, counted or 0, newest)
        for owner, votes, counted, newest in session.execute(
            select(Vote.owner, func.count(), func.count().filter(Vote.counted.is_(True)), func.max(Vote.created_at))
            .where(Vote.owner.in_(owners))
            .group_by(Vote.owner)
        )
    }
    apart = {
        q.owner: q
        for q in session.scalars(
            select(Quarantine).where(Quarantine.owner.in_(owners), Quarantine.released_at.is_(None))
        )
    }
    return [_voter(owner, counts.get(owner, (0, 0, None)), apart.get(owner)) for owner in owners]


def _voter(owner: str, counts: tuple[int, int, datetime | None], apart: Quarantine | None) -> Voter:
    votes, counted, newest = counts
    since, by, reason = (apart.created_at, apart.by, apart.reason) if apart else (None, "", "")
    return Voter(owner, votes, counted, newest, since, by, reason)
