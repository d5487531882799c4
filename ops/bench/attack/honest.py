"""Honest people: most agree with everybody, each with tastes of their own, some with a favourite, some carelessly."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator

from ops.bench.attack.fastchat import outliers
from ops.bench.sampling.truth import TIES, Truth
from web.arena.integrity.ballots import Ballots
from web.arena.integrity.judgement import judge
from web.arena.integrity.rules import Rules
from web.ratings.bradley_terry import CENTRE, SCALE

TASTE = 0.4
"""Standard deviation of what a person makes of each model, in logits: 70 points."""
FANS, FONDNESS = 0.03, 1.5
"""Share of people with a favourite, and what it is worth to them: 260 points."""
CARELESS = 0.05
"""Share of people who do not read."""
SHARED = 0.2
"""Share of people who sit in one of a few hundred places with others."""
_PLACES = 200
_SITTINGS = np.array([1, 2, 3, 5, 8, 13, 20, 30, 50])
_COMMON = np.array([30, 20, 14, 12, 9, 6, 4, 3, 2]) / 100


@dataclass(slots=True)
class Log:
    """Votes as they come, in columns."""

    a: list[int] = field(default_factory=list)
    b: list[int] = field(default_factory=list)
    score: list[float] = field(default_factory=list)
    session: list[int] = field(default_factory=list)
    place: list[int] = field(default_factory=list)
    rigged: list[bool] = field(default_factory=list)

    def add(self, a: int, b: int, score: float, session: int, place: int, *, rigged: bool = False) -> None:
        for column, value in zip(
            (self.a, self.b, self.score, self.session, self.place, self.rigged),
            (a, b, score, session, place, rigged),
            strict=True,
        ):
            column.append(value)  # type: ignore[attr-defined]

    def ballots(self, models: tuple[str, ...]) -> Ballots:
        """As the records worker would read them."""
        count = len(self.a)
        never = np.zeros(count, dtype=bool)
        a, b, session, place = (
            np.array(column, dtype=np.intp) for column in (self.a, self.b, self.session, self.place)
        )
        ids, score = np.arange(count), np.array(self.score, dtype=np.float64)
        return Ballots(models, ids, ids.astype(np.float64), a, b, score, session, place, never, never)


class People:
    """Honest voters who take turns: at any time some dozens are at it, each until they have had enough."""

    AT_ONCE = 40

    def __init__(self, truth: Truth, log: Log, dice: Generator) -> None:
        self._log, self._dice = log, dice
        self._theta = (truth.rating - CENTRE) / SCALE
        self._here: list[tuple[int, int, int, np.ndarray | None]] = []
        self._number = 0

    def vote(self) -> None:
        """One more, by one of those who are here."""
        while len(self._here) < self.AT_ONCE:
            self._here.append(self._comes())
        which = int(self._dice.integers(len(self._here)))
        session, place, left, taste = self._here[which]
        a, b = (int(n) for n in self._dice.choice(len(self._theta), 2, replace=False))
        self._log.add(a, b, self._judged(taste, a, b), session, place)
        if left > 1:
            self._here[which] = (session, place, left - 1, taste)
        else:
            del self._here[which]

    def _judged(self, taste: np.ndarray | None, a: int, b: int) -> float:
        lead = 0.0 if taste is None else float(self._theta[a] + taste[a] - self._theta[b] - taste[b])
        return verdict(lead, self._dice)

    def _comes(self) -> tuple[int, int, int, np.ndarray | None]:
        dice = self._dice
        self._number += 1
        place = int(dice.integers(_PLACES)) if dice.random() < SHARED else _PLACES + self._number
        votes = int(dice.choice(_SITTINGS, p=_COMMON))
        if dice.random() < CARELESS:
            return self._number, place, votes, None
        taste = dice.normal(0, TASTE, len(self._theta))
        if dice.random() < FANS:
            taste[dice.integers(len(taste))] += FONDNESS
        return self._number, place, votes, taste


def verdict(lead: float, dice: Generator) -> float:
    """The score of whoever leads by so many logits; an even pair ties one time in five."""
    wins = 1 / (1 + np.exp(-lead))
    ties, luck = 2 * TIES * min(wins, 1 - wins), dice.random()
    return 0.5 if luck < ties else float(luck < ties + wins - ties / 2)


@dataclass(frozen=True, slots=True)
class Day:
    """Shares of sessions set apart, by ours and by FastChat's test, and of votes out for a ring or a burst."""

    apart: float
    fastchat: float
    votes_out: float


def honest_day(models: int, votes: int, rules: Rules, seed: int) -> Day:
    """So many honest votes, judged."""
    truth, log = Truth.transitive(models, seed), Log()
    people = People(truth, log, np.random.default_rng([seed, 1]))
    for _ in range(votes):
        people.vote()
    ballots = log.ballots(truth.models)
    found, sessions = judge(ballots, rules), len(set(log.session))
    return Day(
        len(found.apart) / sessions, len(outliers(ballots)) / sessions, len(found.ring | found.burst) / len(log.a)
    )
