"""A day of the arena under a sampling policy: the pool's real plan on a virtual clock, and a quick stand-in for it.

In a :class:`Day` pairs are drawn when battles arrive, from the report that the worker would have sent at that moment:
engines up and coming, and how long each pair would wait. :func:`quick` knows only who is in memory, and that whoever is
drawn is there at the next draw: an arena so quiet that every switch is over before anybody else comes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from itertools import combinations
from random import Random

from ops.bench.sampling.truth import Polls, Truth
from ops.bench.simulation import Battle, Outcome, Run, World, arrivals, names
from web.arena.sampling import Policy, ResidencyAware, Situation
from worker.contract.residency import Residency, pair_key
from worker.memory import NO_LIMIT
from worker.pool import line
from worker.pool.plan import plan
from worker.pool.states import EngineState, Plan, PoolState

_COMING = (EngineState.STARTING, EngineState.LOADING, EngineState.WAKING, EngineState.VERIFYING)


@dataclass(slots=True)
class Met:
    """``battles``: (one, other, probability, one's score), of those that were served, in order of their start."""

    battles: list[tuple[str, str, float, float]] = field(default_factory=list)
    at: list[float] = field(default_factory=list)
    """When each began."""
    loads: int = 0
    offered: int = 0
    waits: list[float] = field(default_factory=list)

    @property
    def per_battle(self) -> float:
        """Loads per battle that was served."""
        return self.loads / len(self.battles)


class Day(Run):
    """``askers``: so many people ask by turns, at random, and vote at once; 0: nobody asks twice."""

    def __init__(
        self, world: World, battles: list[Battle], truth: Truth, policy: Policy, seed: int, askers: int = 0
    ) -> None:
        super().__init__(world, battles, partial(_decide, world))
        self.models = tuple(names(world))
        self.polls = Polls(truth, seed)
        self.out_met = Met(offered=len(battles))
        self.policy, self.dice, self.askers = policy, Random(seed), askers  # noqa: S311 - a simulation
        self.drawn: dict[str, int] = {}
        self.rounds = 0
        self.seen: dict[int, str] = {}
        self.met: dict[str, tuple[str, str, float]] = {}

    def served(self) -> Met:
        """The day, from its first battle to its last."""
        out: Outcome = self.run()
        self.out_met.loads, self.out_met.waits = out.loads, out.waits
        return self.out_met

    def _arrive(self, battle: Battle) -> None:
        asker = self.dice.randrange(self.askers) if self.askers else -1
        seen = frozenset((self.seen[asker],) if asker in self.seen else ())
        round_, votes = str(self.rounds), self.polls.known
        now = Situation(self.models, (self._report(),), votes, self.drawn, round_, self.rounds, seen)
        draw = self.policy.distribution(now).draw(self.dice, self.policy.version)
        self.met[battle.id] = (draw.a, draw.b, draw.probability)
        self._count(battle.id, 1)
        if self.askers:
            self.seen[asker] = pair_key(draw.a, draw.b)
        if isinstance(self.policy, ResidencyAware) and self.policy.is_over(replace(now, drawn=self.drawn)):
            self.drawn, self.rounds = {}, self.rounds + 1
        drawn = replace(battle, models=frozenset((draw.a, draw.b)))
        self.battles[battle.id] = drawn
        super()._arrive(drawn)

    def _count(self, battle: str, by: int) -> None:
        one, other, _ = self.met[battle]
        key = pair_key(one, other)
        self.drawn[key] = self.drawn.get(key, 0) + by

    def _refuse(self, job: str) -> None:
        super()._refuse(job)
        self._count(job, -1)

    def _start(self, job: str) -> None:
        super()._start(job)
        one, other, probability = self.met[job]
        self.out_met.battles.append((one, other, probability, self.polls.vote(one, other)))
        self.out_met.at.append(self.now)

    def _report(self) -> Residency:
        state = self._state()
        groups = line.groups(self.waiting.values())
        pairs = combinations(self.models, 2) if isinstance(self.policy, ResidencyAware) else ()
        return Residency(
            "w",
            self.now,
            True,
            self.world.fit,
            self.models,
            ready=tuple(m for m, e in self.engines.items() if e.usable),
            loading=tuple(m for m, e in self.engines.items() if e.state in _COMING),
            waiting=len(self.waiting),
            eta={pair_key(*p): line.eta_s(state, groups, frozenset(p), self.now) for p in pairs},
        )


def _decide(world: World, state: PoolState, waiting: object, now: float) -> Plan:
    return plan(state, waiting, NO_LIMIT, now, world.rules)  # type: ignore[arg-type]


def day(
    world: World, battles: int, utilisation: float, truth: Truth, policy: Policy, seed: int, askers: int = 0
) -> Met:
    """One day; the same seed brings the same arrivals and answers to every policy."""
    return Day(world, arrivals(world, battles, utilisation, seed), truth, policy, seed, askers).served()


def quick(
    truth: Truth, policy: Policy, battles: int, seed: int, capacity: int = 2, pinned: tuple[str, ...] = ()
) -> Met:
    """The first loads count too. ``pinned`` are always in memory; of the rest those that met last."""
    dice, models, polls, met = Random(seed), truth.models, Polls(truth, seed), Met(offered=battles)  # noqa: S311
    up = [*pinned, *(m for m in dice.sample(models, len(models)) if m not in pinned)][:capacity]
    drawn: dict[str, int] = {}
    rounds = 0
    for _ in range(battles):
        report = Residency("w", 0.0, True, capacity, models, ready=tuple(up))
        now = Situation(models, (report,), polls.known, drawn, f"{seed} {rounds}", rounds)
        draw = policy.distribution(now).draw(dice, policy.version)
        met.battles.append((draw.a, draw.b, draw.probability, polls.vote(draw.a, draw.b)))
        met.loads += (draw.a not in up) + (draw.b not in up)
        key = pair_key(draw.a, draw.b)
        drawn[key] = drawn.get(key, 0) + 1
        if isinstance(policy, ResidencyAware) and policy.is_over(replace(now, drawn=drawn)):
            drawn, rounds = {}, rounds + 1
        order = [*pinned, draw.a, draw.b, *up]
        up = list(dict.fromkeys(order))[:capacity]
    return met
