"""Votes from the database as the rules read them: those of the last weeks, and what is known of who cast them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from web.arena.deletion import deleted_word
from web.arena.excluded import QUARANTINED
from web.arena.integrity.ballots import Ballots
from web.arena.integrity.judgement import judge
from web.arena.integrity.rules import AUTOMATIC, BURST, CLEARED, OF_VOTES, RING, Rules
from web.arena.integrity.single import Said, reasons
from web.models import Quarantine, Vote

_SCORE = {"a": 1.0, "b": 0.0}


@dataclass(frozen=True, slots=True)
class Verdicts:
    """``reasons``: by vote's id, those of :data:`OF_VOTES` it should have; ``differ``: ids whose vote has others.

    ``apart``: by session, why; ``cleared``: sessions set apart automatically of which that is no longer found.
    """

    reasons: dict[int, frozenset[str]]
    differ: list[int]
    apart: dict[str, str]
    cleared: list[str]


@dataclass(frozen=True, slots=True)
class Read:
    """Rows of votes and of quarantines, as they were at one moment."""

    votes: Sequence[Any]
    apart: Sequence[Quarantine]
    older: frozenset[str]
    """Of the owners of automatic quarantines, those with votes that are too old to be judged."""


def read(session: Session, since: datetime) -> Read:
    """Everything that is judged together. One look at the votes since then, through an index."""
    votes = session.execute(
        select(
            Vote.id,
            Vote.created_at,
            Vote.owner,
            Vote.place,
            Vote.prompt_mark,
            Vote.model_a,
            Vote.model_b,
            Vote.winner,
            Vote.reasons,
            Vote.evidence,
        ).where(Vote.created_at >= since)
    ).all()
    apart = list(session.scalars(select(Quarantine)))
    ours = [q.owner for q in apart if q.by == AUTOMATIC and q.released_at is None]
    older = session.scalars(select(Vote.owner).where(Vote.owner.in_(ours), Vote.created_at < since).distinct())
    return Read(votes, apart, frozenset(older))


def verdicts(found: Read, rules: Rules, key: str) -> Verdicts:
    """What the rules say about all of it, whatever they said before. ``key``: signs cookies."""
    votes = sorted((v for v in found.votes if v.model_a != v.model_b), key=lambda v: (v.created_at, v.id))
    voters = _voters([v.owner for v in votes], key)
    single = reasons(
        [Said(voters[v.owner], frozenset((v.model_a, v.model_b)), v.prompt_mark, v.evidence or {}) for v in votes],
        rules,
    )
    trusted = {q.owner for q in found.apart if q.released_at is not None and q.released_by != AUTOMATIC}
    ruled = {q.owner for q in found.apart if q.released_at is None and q.by != AUTOMATIC}
    names = sorted(set(voters.values()))
    judged = judge(_ballots(votes, single, voters, names, trusted, ruled), rules)
    apart = {names[n]: why for n, why in judged.apart.items() if names[n] not in trusted}
    many = ((RING, judged.ring), (BURST, judged.burst))
    wanted: dict[int, frozenset[str]] = {
        v.id: frozenset()
        if (v.evidence or {}).get(CLEARED)
        else frozenset(alone | {why for why, ids in many if v.id in ids})
        for v, alone in zip(votes, single, strict=True)
    }
    differ = [v.id for v in votes if wanted[v.id] != frozenset(v.reasons) & frozenset(OF_VOTES)]
    cleared = [
        q.owner
        for q in found.apart
        if q.by == AUTOMATIC and q.released_at is None and q.owner in set(names) - apart.keys() - found.older
    ]
    return Verdicts(wanted, differ, apart, cleared)


def _voters(owners: Sequence[str], key: str) -> dict[str, str]:
    """One name for each owner: what stands for somebody in deleted battles is that somebody, if they are here too."""
    known = set(owners)
    aliases = {word: owner for owner in known if (word := deleted_word(key, owner)) in known}
    return {owner: aliases.get(owner, owner) for owner in known}


def _ballots(
    votes: Sequence[Any],
    single: list[set[str]],
    voters: dict[str, str],
    names: list[str],
    trusted: set[str],
    ruled: set[str],
) -> Ballots:
    models = tuple(sorted({m for v in votes for m in (v.model_a, v.model_b)}))
    number = {m: n for n, m in enumerate(models)}
    session = {name: n for n, name in enumerate(names)}
    place = {p: n for n, p in enumerate(sorted({v.place for v in votes if v.place}))}
    own = {QUARANTINED, *OF_VOTES}
    out = [
        not (v.evidence or {}).get(CLEARED) and bool(alone or set(v.reasons) - own or voters[v.owner] in ruled)
        for v, alone in zip(votes, single, strict=True)
    ]
    return Ballots(
        models,
        id=np.array([v.id for v in votes], dtype=np.intp),
        at=np.array([v.created_at.timestamp() for v in votes], dtype=np.float64),
        a=np.array([number[v.model_a] for v in votes], dtype=np.intp),
        b=np.array([number[v.model_b] for v in votes], dtype=np.intp),
        score=np.array([_SCORE.get(v.winner, 0.5) for v in votes], dtype=np.float64),
        session=np.array([session[voters[v.owner]] for v in votes], dtype=np.intp),
        place=np.array([place[v.place] if v.place else -1 for v in votes], dtype=np.intp),
        out=np.array(out, dtype=bool),
        trusted=np.array([voters[v.owner] in trusted for v in votes], dtype=bool),
    )
