"""Riggers: what they do with each battle, and how far a campaign of theirs gets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from ops.bench.attack.honest import Log, People, verdict
from ops.bench.sampling.truth import Truth
from web.arena.integrity.ballots import Ballots
from web.arena.integrity.judgement import Judgement, judge
from web.arena.integrity.rules import Rules
from web.ratings.bradley_terry import CENTRE, PRIOR, SCALE
from web.ratings.newton import maximise
from web.ratings.tally import from_votes

KINDS = ("target", "silent", "fresh", "cover", "rivals", "slow")
RECOGNISED = 0.95
SUBTLE = 0.8
"""How often one who covers up lets a recognised target win."""
_PLACE, _SESSION = 10_000_000, 10_000_000
_SITTING = 50
"""Votes of one session, where it is kept for several."""
LOOKS = 12
"""The board is looked at whenever the attack has grown by one part in so many."""


@dataclass(frozen=True, slots=True)
class Attack:
    """``share``: of all new votes while it lasts."""

    kind: str
    addresses: int
    ranks: int = 5

    @property
    def share(self) -> float:
        return 0.1 if self.kind == "slow" else 0.5


@dataclass(frozen=True, slots=True)
class Outcome:
    """Votes that were cast until the ranks were gained. ``gained``: they were, with the defences on.

    ``honest_apart``, ``honest_votes_out``: shares of honest sessions and votes, when the attack was over.
    """

    votes_off: float
    votes_on: float
    gained: bool
    honest_apart: float
    honest_votes_out: float


def campaign(models: int, votes: int, attack: Attack, patience: float, seed: int) -> Outcome:
    """The same attack on the same arena twice: until it has its ranks without defences, and with them."""
    off = _until(models, votes, attack, None, None, seed)
    on = _until(models, votes, attack, Rules(), (off.cast, patience), seed)
    return Outcome(float(off.cast), float(on.cast), on.gained, on.apart, on.out)


@dataclass(frozen=True, slots=True)
class _End:
    cast: int
    gained: bool
    apart: float
    out: float


def _until(
    models: int, votes: int, attack: Attack, rules: Rules | None, known: tuple[int, float] | None, seed: int
) -> _End:
    truth, log = Truth.transitive(models, seed), Log()
    people = People(truth, log, np.random.default_rng([seed, 1]))
    for _ in range(votes):
        people.vote()
    before = _order(_counted(log, truth.models, None)[0])
    target = int(before[(len(before) + attack.ranks) // 2])
    goal = int(np.flatnonzero(before == target)[0]) - attack.ranks
    rigger = Rigger(truth, before, target, attack, log, np.random.default_rng([seed, 2]))
    step = max(20, votes // 400)
    most = known[0] * known[1] if known else 50 * votes
    while True:
        for _ in range(max(step, rigger.cast // LOOKS)):
            rigger.vote()
            for _ in range(round((1 - attack.share) / attack.share)):
                people.vote()
        counted, found = _counted(log, truth.models, rules)
        rank = int(np.flatnonzero(_order(counted) == target)[0])
        if rank <= goal or rigger.cast >= most:
            return _End(rigger.cast, rank <= goal, *_harm(log, counted, found))


class Rigger:
    """One person at many addresses who wants ``target`` up. ``cast``: votes so far."""

    def __init__(self, truth: Truth, order: np.ndarray, target: int, attack: Attack, log: Log, dice: Generator) -> None:
        self.cast = 0
        self._attack, self._target, self._log, self._dice = attack, target, log, dice
        self._theta = (truth.rating - CENTRE) / SCALE
        above = np.flatnonzero(order == target)[0]
        self._rivals = set(order[max(0, above - attack.ranks - 1) : above].tolist())

    def vote(self) -> None:
        """Take battles until one is voted."""
        while True:
            a, b = (int(n) for n in self._dice.choice(len(self._theta), 2, replace=False))
            score = self._judged(a, b)
            if score is not None:
                break
        address = self.cast % self._attack.addresses
        sitting = 1 if self._attack.kind == "fresh" else _SITTING
        session = _SESSION + address * 100_000 + (self.cast // self._attack.addresses) // sitting
        self._log.add(a, b, score, session, _PLACE + address, rigged=True)
        self.cast += 1

    def _judged(self, a: int, b: int) -> float | None:
        kind, dice = self._attack.kind, self._dice
        if self._target in (a, b) and dice.random() < RECOGNISED:
            wins = kind != "cover" or dice.random() < SUBTLE
            return float((a == self._target) == wins)
        if kind == "silent":
            return None
        if kind == "cover":
            return verdict(float(self._theta[a] - self._theta[b]), dice)
        if kind == "rivals" and (a in self._rivals) != (b in self._rivals) and dice.random() < RECOGNISED:
            return float(b in self._rivals)
        return float(dice.integers(2))


def _counted(log: Log, models: tuple[str, ...], rules: Rules | None) -> tuple[Ballots, Judgement | None]:
    ballots = _numbered(log.ballots(models))
    if rules is None:
        return ballots, None
    found = judge(ballots, rules)
    out = np.isin(ballots.session, list(found.apart)) | np.isin(ballots.id, list(found.ring | found.burst))
    return ballots.take(~out), found


def _numbered(ballots: Ballots) -> Ballots:
    """Sessions and places numbered without gaps."""
    session, place = (np.unique(x, return_inverse=True)[1] for x in (ballots.session, ballots.place))
    b = ballots
    return Ballots(b.models, b.id, b.at, b.a, b.b, b.score, session, place, b.out, b.trusted)


def _order(ballots: Ballots) -> np.ndarray:
    theta = maximise(from_votes(ballots.models, ballots.a, ballots.b, ballots.score).pairs(), PRIOR)
    return np.argsort(-theta, kind="stable")


def _harm(log: Log, counted: Ballots, found: Judgement | None) -> tuple[float, float]:
    """Shares of honest sessions that were set apart, and of honest votes that do not count."""
    if found is None:
        return 0.0, 0.0
    rigged = np.array(log.rigged)
    session = np.unique(np.array(log.session), return_inverse=True)[1]
    honest = np.unique(session[~rigged])
    lost = int((~rigged).sum()) - int((~rigged[counted.id]).sum())
    return float(np.isin(honest, list(found.apart)).mean()), lost / int((~rigged).sum())
