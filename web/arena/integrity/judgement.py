"""All votes judged together: who is to be set apart, and which single votes do not count.

A function of the set of votes alone: the order in which they arrived or are given, and what was found earlier, do not
matter. The strengths that voters are compared with are of the votes that count, so what is found changes them; it is
gone round until nothing changes, a few times at most, beginning with every vote that nothing else is against.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from web.arena.integrity import bursts, history, rings, sequential
from web.arena.integrity.ballots import Ballots
from web.arena.integrity.history import History
from web.arena.integrity.rules import Rules
from web.arena.integrity.sequential import Bools, Floats, Ints, Pull, Votes

ROUNDS = 4
_OWN = 3
"""Votes on a ring's model that a session of a place in the ring must have before all its votes are in doubt."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """``apart``: by session, why; ``ring`` and ``burst``: ids of votes that do not count for that reason."""

    apart: dict[int, str]
    ring: frozenset[int]
    burst: frozenset[int]


@dataclass(frozen=True, slots=True)
class _Found:
    apart: dict[int, str]
    ring: Bools
    burst: Bools

    def out(self, ballots: Ballots) -> Bools:
        gone = np.isin(ballots.session, np.fromiter(self.apart, dtype=np.intp, count=len(self.apart)))
        return np.asarray((gone | self.ring | self.burst) & ~ballots.trusted)

    def marks(self, ids: Ints) -> tuple[frozenset[int], frozenset[int]]:
        return frozenset(ids[self.ring].tolist()), frozenset(ids[self.burst].tolist())


def judge(ballots: Ballots, rules: Rules) -> Judgement:
    """What the rules about voters say. See the module."""
    if not len(ballots.id):
        return Judgement({}, frozenset(), frozenset())
    given = ballots.take(np.lexsort((ballots.id, ballots.at)))
    voices, out = history.voices(given), given.out.copy()
    for _ in range(ROUNDS):
        found = _find(given, history.fitted(given, voices & ~out, rules), rules)
        again = given.out | found.out(given)
        if (again == out).all():
            break
        out = again
    return Judgement(found.apart, *found.marks(given.id))


def _find(ballots: Ballots, past: History, rules: Rules) -> _Found:
    heard = ~ballots.out & ~ballots.trusted
    place = ballots.places()
    by_session, by_place = (
        Votes(ballots.a[heard], ballots.b[heard], ballots.score[heard], unit[heard], past.theta)
        for unit in (ballots.session, place)
    )
    apart = set_apart(by_session, ballots.models, rules)
    ring = np.zeros(len(ballots.id), dtype=bool)
    own = sequential.pulls(by_session, rules.tolerance)
    for units, looked in ((place, sequential.pulls(by_place, rules.tolerance)), (ballots.session, own)):
        for pull, mine in zip(looked, own, strict=True):
            guilty = rings.alone(pull, rules, len(past.theta)) | rings.together(pull, rules, len(past.theta))
            for unit, model in zip(pull.unit[guilty].tolist(), pull.model[guilty].tolist(), strict=True):
                inside = heard & (units == unit) & ballots.on(model)
                ring |= inside
                for session in _same_way(mine, model, np.unique(ballots.session[inside])):
                    apart.setdefault(session, f"a ring: {_way(pull.sign)} {ballots.models[model]}")
    return _Found(apart, ring, _burst(ballots, heard, past, rules))


def set_apart(votes: Votes, models: tuple[str, ...], rules: Rules) -> dict[int, str]:
    """Voters whom their own votes convict, and of what. The cheap part: it needs no votes but those of the voter."""
    found: dict[int, str] = {}
    for pull in sequential.pulls(votes, rules.tolerance):
        for row in np.flatnonzero(rings.alone(pull, rules, len(models))).tolist():
            why = f"{_way(pull.sign)} {models[pull.model[row]]}: {pull.votes[row]} votes, e^{pull.peak[row]:.1f} to 1"
            found.setdefault(int(pull.unit[row]), why)
    units, peak = sequential.contrary(votes, rules.tolerance)
    for unit, height in zip(units.tolist(), peak.tolist(), strict=True):
        if height >= np.log(1 / rules.alpha):
            found.setdefault(unit, f"against what all others say: e^{height:.1f} to 1")
    return found


def _way(sign: int) -> str:
    return "always for" if sign > 0 else "always against"


def _same_way(pull: Pull, model: int, sessions: Ints) -> list[int]:
    rows = (pull.model == model) & np.isin(pull.unit, sessions) & (pull.votes >= _OWN) & (pull.last > 0)
    return [int(unit) for unit in pull.unit[rows]]


def _burst(ballots: Ballots, heard: Bools, past: History, rules: Rules) -> Bools:
    """Which of all ballots were cast by newcomers, on a model, in a burst about it.

    A newcomer was first heard of in the burst, or no longer before it than it lasted: whoever comes for a model has to
    wait until it is drawn.
    """
    since, place = _since(ballots), ballots.places()
    lead = past.leads(ballots)
    fair = heard & (ballots.score != 0.5) & ~np.isnan(lead)
    found = np.zeros(len(ballots.id), dtype=bool)
    for model in range(len(ballots.models)):
        on_it = ballots.on(model)
        rows = np.flatnonzero(fair & on_it)
        left = ballots.a[rows] == model
        won = np.where(left, ballots.score[rows], 1 - ballots.score[rows]) == 1.0
        toward = np.where(left, lead[rows], -lead[rows])
        for burst in bursts.bursts(toward, won, place[rows], rules, 2 * len(ballots.models)):
            begin, end = ballots.at[rows[burst.first]], ballots.at[rows[burst.last]]
            found |= on_it & (ballots.at >= begin) & (ballots.at <= end) & (since >= 2 * begin - end)
    return np.asarray(found & ~ballots.trusted)


def _since(ballots: Ballots) -> Floats:
    """When the session of each vote, or its place if that was sooner, was first heard of."""
    first = [np.full(int(unit.max(initial=0)) + 1, np.inf) for unit in (ballots.session, ballots.places())]
    for earliest, unit in zip(first, (ballots.session, ballots.places()), strict=True):
        np.minimum.at(earliest, unit, ballots.at)
    return np.asarray(np.minimum(first[0][ballots.session], first[1][ballots.places()]))
