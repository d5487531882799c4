"""Battles against engines on a virtual clock: one set of arrivals and answers, any rule that decides who starts.

The world is the pool's: ``fit`` engines in memory, one move at a time, an engine is put away only when it serves
nobody, a battle holds a seat on both of its engines from its start to its end. What differs between contenders is
the function that decides, which sees what ``worker.pool.plan.plan`` sees and answers with a ``Plan``. The clock jumps
from event to event, so a simulated hour costs milliseconds and every run with the same seed is the same run.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import combinations, count
from random import Random
from typing import Any

from worker.pool import line
from worker.pool.leases import Answers
from worker.pool.states import Costs, EngineState, EngineView, Held, Load, Move, Plan, PoolState, Rules, Unload, Waiter

Decide = Callable[[PoolState, Sequence[Waiter], float], Plan]

TICK_S = 1.0
"""As often as the pool decides when nothing happens."""

FOREVER_S = 1e6
"""A wait this long means that nobody will ever be served."""
STEPS = 100
"""Decisions at one moment, each changing something: more than there ever are engines and battles to change."""


@dataclass(frozen=True, slots=True)
class World:
    """The costs every contender pays. Seconds; ``answer_s`` is uniform between its two ends."""

    models: int = 3
    fit: int = 2
    seats: int = 8
    answer_s: tuple[float, float] = (3.0, 9.0)
    load_s: float = 5.0
    unload_s: float = 1.0
    rules: Rules = field(default_factory=Rules)

    @property
    def full_rate(self) -> float:
        """Battles per second that one pair of engines sustains when all its seats are always taken."""
        return self.seats / (sum(self.answer_s) / 2)


@dataclass(frozen=True, slots=True)
class Battle:
    """``answer_s``: how long it holds its engines."""

    id: str
    at: float
    models: frozenset[str]
    answer_s: float


@dataclass(slots=True)
class Outcome:
    """What one contender made of one set of battles. Waits are seconds from arrival to start, of battles served."""

    waits: list[float] = field(default_factory=list)
    loads: int = 0
    refused: int = 0
    cut: int = 0
    """Battles ended early because a drain had reached its limit."""
    seconds: float = 0.0
    """From the first arrival to the last end."""
    bound_s: float = 0.0
    """What ours promises as the longest wait: here the same for every pair."""

    @property
    def per_second(self) -> float:
        return len(self.waits) / self.seconds


def arrivals(world: World, battles: int, utilisation: float, seed: int) -> list[Battle]:
    """Poisson arrivals, pairs uniform. The same seed draws the same battles at every utilisation, only closer."""
    dice = Random(seed)  # noqa: S311 - a simulation
    pairs = [frozenset(p) for p in combinations(names(world), 2)]
    now, found = 0.0, []
    for n in range(battles):
        now += dice.expovariate(1.0) / (utilisation * world.full_rate)
        found.append(Battle(f"b{n}", now, dice.choice(pairs), dice.uniform(*world.answer_s)))
    return found


def simulate(world: World, battles: Sequence[Battle], decide: Decide) -> Outcome:
    """Until every battle has ended or was refused. Raises AssertionError when ``decide`` breaks the world's rules."""
    return Run(world, battles, decide).run()


def names(world: World) -> list[str]:
    if world.models > 26:
        return [f"m{n:03}" for n in range(world.models)]
    return [chr(ord("a") + n) for n in range(world.models)]


class Run:
    """One contender's day. ``out`` is complete when ``run`` returns."""

    def __init__(self, world: World, battles: Sequence[Battle], decide: Decide) -> None:
        costs = Costs(load_s=world.load_s, unload_s=world.unload_s)
        up = names(world)[: world.fit]
        self.world, self.decide, self.out = world, decide, Outcome()
        self.engines = {
            m: EngineView(m, EngineState.READY if m in up else EngineState.COLD, seats=world.seats, costs=costs)
            for m in names(world)
        }
        self.battles = {b.id: b for b in battles}
        self.waiting: dict[str, Waiter] = {}
        self.running: dict[str, float] = {}
        self.answers = Answers(world.rules.drain_limit_s)
        self.moving: tuple[str, float] | None = None
        self.switching: frozenset[str] | None = None
        self.begun = self.landed = self.now = 0.0
        self.order = count()
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        for battle in battles:
            self._at(battle.at, partial(self._arrive, battle))

    def run(self) -> Outcome:
        first = last = self.events[0][0]
        while self.events:
            self.now, _, happen = heapq.heappop(self.events)
            happen()
            settled = any(not self._step() for _ in range(STEPS))
            assert settled, f"decisions at {self.now} undo each other for ever"
            if not self.waiting:
                last = self.now
            elif not self.events or self.events[0][0] > self.now + TICK_S:
                assert self.now - last < FOREVER_S, f"{len(self.waiting)} battles are never served"
                self._at(self.now + TICK_S, lambda: None)
        self.out.seconds = last - first
        self.out.bound_s = line.bound_s(self._state(), names(self.world)[:2], self.world.rules)
        return self.out

    def _at(self, when: float, happen: Callable[[], None]) -> None:
        heapq.heappush(self.events, (when, next(self.order), happen))

    # ── what happens ─────────────────────────────────────────────────────────────────────────────────────────────

    def _arrive(self, battle: Battle) -> None:
        owed = frozenset(m for m in battle.models if not self.engines[m].usable)
        self.waiting[battle.id] = Waiter(battle.id, battle.models, self.now, owed, battle.id, admitted=False)

    def _end(self, job: str) -> None:
        if job not in self.running:  # it was cut before its answer was complete
            return
        self.answers.add(self.now - self.running.pop(job))
        for model in self.battles[job].models:
            self._set(model, leases=self.engines[model].leases - 1, last_used=self.now)

    def _moved(self, model: str, state: EngineState) -> None:
        self.moving = None
        self._set(model, state=state, since=self.now, last_used=self.now)
        if self.switching is not None and all(self.engines[m].usable for m in self.switching):
            self.landed = self.now

    # ── what is done about it ────────────────────────────────────────────────────────────────────────────────────

    def _step(self) -> bool:
        """Decide once and carry it out; False when nothing came of it."""
        decided = self.decide(self._state(), list(self.waiting.values()), self.now)
        for refusal in decided.refuse:
            self._refuse(refusal.job)
        for job, waiter in self.waiting.items():
            if not waiter.admitted:
                self.waiting[job] = replace(waiter, admitted=True)
        if decided.switching != self.switching and decided.switching is not None:
            self.begun = self.now
        self.switching = decided.switching
        for job in decided.grant:
            self._start(job)
        moved = self._drain(decided)
        if decided.move is not None and self.moving is None:
            self._move(decided.move)
            moved = True
        return bool(moved or decided.grant or decided.refuse)

    def _start(self, job: str) -> None:
        waiter = self.waiting.pop(job)
        for model in waiter.models:
            engine = self.engines[model]
            assert engine.usable, f"{model} is {engine.state}"
            assert engine.leases < engine.seats, f"{model} has no seat left"
            self._set(model, leases=engine.leases + 1, last_used=self.now)
        self.out.waits.append(self.now - waiter.since)
        self.running[job] = self.now
        self._at(self.now + self.battles[job].answer_s, partial(self._end, job))

    def _refuse(self, job: str) -> None:
        del self.waiting[job]
        self.out.refused += 1

    def _drain(self, decided: Plan) -> bool:
        changed = False
        for model, engine in self.engines.items():
            if engine.state is EngineState.READY and model in decided.draining:
                self._set(model, state=EngineState.DRAINING, since=self.now)
                changed = True
            elif engine.state is EngineState.DRAINING and model not in decided.draining:
                self._set(model, state=EngineState.READY, since=self.now)
                changed = True
        cut = [j for j in self.running if self.battles[j].models & decided.preempt or j in decided.ends]
        for job in cut:
            self.out.cut += 1
            self._end(job)
        return changed or bool(cut)

    def _move(self, move: Move) -> None:
        engine = self.engines[move.model]
        if isinstance(move, Load):
            others = sum(e.resident for e in self.engines.values() if e.model != move.model)
            assert engine.state is EngineState.COLD, f"{move.model} is {engine.state}"
            assert others < self.world.fit, f"no place for {move.model}"
            self.out.loads += 1
            during, after, takes = EngineState.LOADING, EngineState.READY, self.world.load_s
        else:
            assert isinstance(move, Unload), f"nothing sleeps here: {move}"
            assert engine.leases == 0, f"{move.model} serves {engine.leases} battles"
            during, after, takes = EngineState.STOPPING, EngineState.COLD, self.world.unload_s
        self.moving = (move.model, self.now + takes)
        self._set(move.model, state=during, since=self.now)
        self._at(self.now + takes, partial(self._moved, move.model, after))

    def _state(self) -> PoolState:
        return PoolState(
            dict(self.engines),
            self.world.fit,
            moving=self.moving[0] if self.moving else None,
            switching=self.switching,
            begun=self.begun,
            landed=self.landed,
            move_left_s=max(self.moving[1] - self.now, 0.0) if self.moving else 0.0,
            answer_s=self.answers.longest_s,
            typical_s=self.answers.typical_s,
            serving=dict.fromkeys(self.running, 1),
            leases=tuple(Held(job, self.battles[job].models, since) for job, since in self.running.items()),
        )

    def _set(self, model: str, **changes: Any) -> None:
        self.engines[model] = replace(self.engines[model], **changes)
