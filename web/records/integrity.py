"""When votes are judged, and what is done about it: new votes before every refresh of the ratings, all of them together
after so many new ones and every night.

The look at new votes reads those, and what their voters said before; the pass reads the votes of the last weeks.
The pass's word is the last: it takes away what the looks or an earlier pass said and it does not say. It never touches
what an operator ruled, and nothing here deletes or rewrites a vote.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

import numpy as np
from redis.exceptions import RedisError
from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from web.admin import votes as rulings
from web.admin.errors import Unchanged, UnknownSession
from web.admin.log import note
from web.arena.deletion import deleted_word
from web.arena.excluded import add_reason, ranked_of, remove_reason
from web.arena.integrity.gathered import Verdicts, read, verdicts
from web.arena.integrity.judgement import set_apart
from web.arena.integrity.rules import AUTOMATIC, CLEARED, DUPLICATE, OF_VOTES, Rules, rules_of
from web.arena.integrity.sequential import Votes
from web.arena.integrity.single import by_itself
from web.context import Arena
from web.models import Quarantine, Rating, RatingSnapshot, Vote, now
from web.queue import QueueError
from web.ratings.board import OVERALL
from web.ratings.bradley_terry import CENTRE, SCALE
from web.retention import AT_ONCE, last_night

log = logging.getLogger(__name__)

DONE_KEY = "arena:integrity:done"
"""When the last night's pass began, in unix seconds."""
LEADER_KEY = "arena:integrity:leader"
LEADER_S = 3600
_LOOKED_AT = 500
"""New votes of one transaction."""
_REMEMBERED = 1000
"""Votes of one voter that are looked at with a new one."""


class Integrity:
    """Of one records worker. ``look`` and ``judge_all`` may run at any time, and be broken off."""

    def __init__(self, arena: Arena) -> None:
        self.arena = arena
        self._new = 0
        self._passing = threading.Lock()

    def look(self) -> int:
        """Judge the votes that are new; how many there were. Every so many of them, all votes."""
        settings = self.arena.settings
        if settings.integrity == "off":
            return 0
        rules, key = rules_of(settings), settings.signing_key()
        total = 0
        while seen := self.arena.db.write(lambda s: _look(s, rules, self._since(), key)):
            total += seen
            if seen < _LOOKED_AT:
                break
        self._new += total
        if self._new >= settings.integrity_pass_votes:
            self.judge_all()
        return total

    def judge_all(self) -> Verdicts:
        """Judge the votes of the last weeks together, and act on it; what was found."""
        settings = self.arena.settings
        with self._passing:
            self._new = 0
            rules, key, since = rules_of(settings), settings.signing_key(), self._since()
            found = verdicts(self.arena.db.read(lambda s: read(s, since)), rules, key)
            for start in range(0, len(found.differ), _LOOKED_AT):
                some = found.differ[start : start + _LOOKED_AT]
                self.arena.db.write(partial(_settle, found=found, ids=some))
            for owner, why in sorted(found.apart.items()):
                self.arena.db.write(partial(_set_apart, owner=owner, why=why, key=key))
            for owner in found.cleared:
                self.arena.db.write(partial(_release, owner=owner, key=key))
        return found

    def nightly(self) -> Verdicts | None:
        """Tonight's pass, unless it has been or another does it; then hashes of places that are old are forgotten."""
        arena, at = self.arena, now()
        done = arena.redis.get(DONE_KEY)
        if done is not None and float(done) >= last_night(at, arena.settings.purge_hour).timestamp():
            return None
        if not arena.redis.set(LEADER_KEY, b"1", nx=True, ex=LEADER_S):
            return None
        try:
            found = self.judge_all() if arena.settings.integrity == "on" else None
            while arena.db.write(lambda s: _forget_places(s, self._since())):
                pass
            arena.redis.set(DONE_KEY, at.timestamp())
        finally:
            with contextlib.suppress(RedisError):
                arena.redis.delete(LEADER_KEY)
        with contextlib.suppress(QueueError):
            arena.queue.refresh_ratings()
        return found

    def _since(self) -> datetime:
        return now() - timedelta(days=self.arena.settings.integrity_days)


# ── new votes ────────────────────────────────────────────────────────────────────────────────────────────────────


def _look(session: Session, rules: Rules, since: datetime, key: str) -> int:
    """Judge up to :data:`_LOOKED_AT` new votes; of several workers each takes others."""
    new = session.scalars(
        select(Vote).where(Vote.judged.is_(False)).order_by(Vote.id).limit(_LOOKED_AT).with_for_update(skip_locked=True)
    ).all()
    changed = 0
    for vote in new:
        found = by_itself(vote.evidence or {}, rules)
        if _repeats(session, vote, rules, since, key):
            found.add(DUPLICATE)
        changed += len([None for reason in sorted(found) if add_reason(vote, reason)]) > 0
        vote.judged = True
    _note(session, changed)
    session.flush()
    strengths = _strengths(session, rules)
    for owner in sorted({vote.owner for vote in new}):
        if strengths and (why := _convicted(session, owner, strengths, rules, since, key)):
            _set_apart(session, owner, why, key)
    return len(new)


def _repeats(session: Session, vote: Vote, rules: Rules, since: datetime, key: str) -> bool:
    if vote.prompt_mark is None:
        return False
    before = select(func.count()).where(
        Vote.prompt_mark == vote.prompt_mark, Vote.created_at >= since, Vote.id < vote.id
    )
    pair = or_(
        (Vote.model_a == vote.model_a) & (Vote.model_b == vote.model_b),
        (Vote.model_a == vote.model_b) & (Vote.model_b == vote.model_a),
    )
    own = before.where(Vote.owner.in_((vote.owner, deleted_word(key, vote.owner))), pair)
    if rules.repeats and (session.scalar(own) or 0) >= rules.repeats:
        return True
    return bool(rules.prompt_most) and (session.scalar(before) or 0) >= rules.prompt_most


def _strengths(session: Session, rules: Rules) -> dict[str, float]:
    """By model, on the natural scale, those the newest board knows well enough."""
    newest = select(func.max(RatingSnapshot.id)).where(RatingSnapshot.board == OVERALL).scalar_subquery()
    rows = session.execute(select(Rating.model, Rating.rating, Rating.votes).where(Rating.snapshot_id == newest))
    return {model: (rating - CENTRE) / SCALE for model, rating, votes in rows if votes >= rules.known}


def _convicted(
    session: Session, owner: str, strengths: dict[str, float], rules: Rules, since: datetime, key: str
) -> str | None:
    """Why a voter should be set apart by what they said themselves. Of places and rings only the pass knows."""
    said = session.execute(
        select(Vote.model_a, Vote.model_b, Vote.winner)
        .where(Vote.owner.in_((owner, deleted_word(key, owner))), Vote.created_at >= since)
        .order_by(Vote.id.desc())
        .limit(_REMEMBERED)
    ).all()[::-1]
    models = tuple(sorted(strengths))
    number = {model: n for n, model in enumerate(models)}
    known = [(number[a], number[b], _score(w)) for a, b, w in said if a in number and b in number and a != b]
    a, b, score = (np.array([row[n] for row in known]) for n in range(3))
    theta = np.array([strengths[m] for m in models])
    if not known:
        return None
    votes = Votes(a.astype(np.intp), b.astype(np.intp), score, np.zeros(len(known), dtype=np.intp), theta)
    return set_apart(votes, models, rules).get(0)


def _score(winner: str) -> float:
    return {"a": 1.0, "b": 0.0}.get(winner, 0.5)


# ── what is done ─────────────────────────────────────────────────────────────────────────────────────────────────


def _settle(session: Session, found: Verdicts, ids: Sequence[int]) -> None:
    """Give votes the reasons they should have, unless an operator has cleared them since."""
    votes = session.scalars(select(Vote).where(Vote.id.in_(ids)).with_for_update()).all()
    ranked, changed = ranked_of(session, votes), 0
    for vote in votes:
        wanted = frozenset() if (vote.evidence or {}).get(CLEARED) else found.reasons[vote.id]
        moved = [add_reason(vote, reason) for reason in sorted(wanted)]
        moved += [remove_reason(vote, reason, ranked) for reason in OF_VOTES if reason not in wanted]
        changed += any(moved)
    _note(session, changed)


def _note(session: Session, changed: int) -> None:
    if changed:
        note(session, AUTOMATIC, "vote.judge", f"{changed} votes")


def _set_apart(session: Session, owner: str, why: str, key: str) -> None:
    row = session.get(Quarantine, owner)
    if row is not None and row.released_at is not None and row.released_by != AUTOMATIC:
        return  # an operator has said that this one is all right
    if row is not None and row.released_at is None and row.by != AUTOMATIC:
        return
    with contextlib.suppress(Unchanged, UnknownSession):
        rulings.quarantine(session, AUTOMATIC, owner, why, key)


def _release(session: Session, owner: str, key: str) -> None:
    row = session.get(Quarantine, owner)
    if row is None or row.by != AUTOMATIC:
        return
    with contextlib.suppress(Unchanged, UnknownSession):
        rulings.release(session, AUTOMATIC, owner, "is not found any more", key)


def _forget_places(session: Session, before: datetime) -> int:
    """In steps; how many."""
    old = session.scalars(select(Vote.id).where(Vote.place.is_not(None), Vote.created_at < before).limit(AT_ONCE)).all()
    if old:
        session.execute(update(Vote).where(Vote.id.in_(old)).values(place=None))
    return len(old)
