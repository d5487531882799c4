"""Who takes no part and what does not count: models out, sessions set apart, votes flagged.

A vote counts iff it has no reason not to. Reasons are words of a closed set, each put there and taken away by its own
cause, so that a vote which was both flagged and set apart counts only when it is neither.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from datetime import datetime

from sqlalchemy import bindparam, func, or_, select
from sqlalchemy.orm import Session

from web.models import AuditLine, Battle, ModelState, Quarantine, RatingSnapshot, Vote, now

FLAGGED = "flagged"
QUARANTINED = "quarantined"
_OUT = select(ModelState.model).where(or_(ModelState.enabled.is_(False), ModelState.out_until > bindparam("moment")))


def models_out(session: Session, at: datetime | None = None) -> set[str]:
    """Ids of the models that take no part at this moment: disabled, or out for a while."""
    return set(session.connection().scalars(_OUT, {"moment": at or now()}))


def reasons_against(session: Session, owner: str) -> list[str]:
    """Why a vote cast by ``owner`` now would not count; empty when it would.

    To be asked in the vote's own transaction. On PostgreSQL a vote that is being cast in the very moment in which its
    session is set apart may miss it; setting the session apart once more takes it out too.
    """
    apart = session.scalar(select(Quarantine.owner).where(Quarantine.owner == owner, Quarantine.released_at.is_(None)))
    return [] if apart is None else [QUARANTINED]


def add_reason(vote: Vote, reason: str) -> bool:
    """Have a vote not count; whether the reason is new."""
    if reason in vote.reasons:
        return False
    vote.reasons = [*vote.reasons, reason]
    vote.counted = False
    return True


def remove_reason(vote: Vote, reason: str, ranked: Container[str]) -> bool:
    """Whether it was there. ``ranked``: ids of battles of the ranking; a vote outside it never counts."""
    if reason not in vote.reasons:
        return False
    vote.reasons = [r for r in vote.reasons if r != reason]
    vote.counted = not vote.reasons and vote.battle_id in ranked
    return True


def ranked_of(session: Session, votes: Iterable[Vote]) -> set[str]:
    """Ids of those votes' battles that are of the ranking."""
    ids = {vote.battle_id for vote in votes}
    return set(session.scalars(select(Battle.id).where(Battle.id.in_(ids), Battle.ranked.is_(True))))


def ruled_since_newest_fit(session: Session) -> bool:
    """Whether votes were ruled about since the newest board was made: as many may count as before, and be others."""
    made = session.scalar(select(RatingSnapshot.created_at).order_by(RatingSnapshot.id.desc()).limit(1))
    about = or_(AuditLine.action.like("vote.%"), AuditLine.action.like("session.%"))
    ruled = session.scalar(select(func.max(AuditLine.at)).where(about))
    return ruled is not None and (made is None or ruled > made)
