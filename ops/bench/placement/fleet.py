"""A day of a fleet of simulated GPUs: battles come, are placed by one of the rules, wait, run and end."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import accumulate, count
from random import Random

from ops.bench.placement.gpu import Costs, Gpu, Job
from ops.bench.placement.rules import PLACINGS, Ours

TICK_S = 1.0
"""A GPU on which nothing happens decides as often."""
BIN_S = 10.0
"""Battles that ended are counted by so many seconds."""
TOKENS = (220.0, 0.6)
"""Of the longer of a battle's answers: the median, and the spread of its logarithm."""


@dataclass(frozen=True, slots=True)
class World:
    """``zipf``: a model's demand is ``1 / rank ** zipf``; a battle's two models are drawn one after the other.

    ``report_s``: as often each GPU reports. ``loads_s``: a load's seconds, from the smallest model to the largest.
    ``crowd``: the share of battles that, from the end of the warm-up on, are all of the two least wanted models.
    """

    gpus: int = 1000
    models: int = 200
    zipf: float = 1.0
    seconds: float = 300.0
    warm_s: float = 150.0
    seed: int = 0
    report_s: float = 2.0
    loads_s: tuple[float, float] = (5.0, 20.0)
    crowd: float = 0.0


@dataclass(slots=True)
class Outcome:
    """``waits``: seconds from arrival to start, of battles that came after the warm-up; ``ended``, ``loads``: since.

    ``crowd_waits``: of the crowd's battles alone. ``ends``: how many ended, by the number of the :data:`BIN_S`.
    """

    waits: list[float] = field(default_factory=list)
    ended: int = 0
    loads: int = 0
    crowd_waits: list[float] = field(default_factory=list)
    ends: Counter[int] = field(default_factory=Counter)


class Run:
    """One day. ``per_gpu``: battles in the fleet per GPU, each followed by another; or ``rate``: arrivals a second."""

    def __init__(self, world: World, who: str, *, per_gpu: int = 0, rate: float = 0.0) -> None:
        self.world, self.rate, self.per_gpu = world, rate, per_gpu
        self.dice = Random(world.seed)  # noqa: S311 - a simulation
        self.models = tuple(f"m{n:03}" for n in range(world.models))
        self.weights = list(accumulate(1.0 / (n + 1) ** world.zipf for n in range(world.models)))
        low, high = world.loads_s
        sizes = Random(world.seed + 1)  # noqa: S311
        costs = Costs({m: low * (high / low) ** sizes.random() for m in self.models})
        begin = Random(world.seed + 2)  # noqa: S311
        self.gpus = [Gpu(f"gpu{n}", costs, dict.fromkeys(begin.sample(self.models, 2), 0.0)) for n in range(world.gpus)]
        self.costs = costs
        self.out = Outcome()
        self.now = 0.0
        self._order = count()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self.place = PLACINGS[who](self.gpus, world.seed + 3)

    def run(self) -> Outcome:
        world, dice = self.world, self.dice
        for _ in range(self.per_gpu * world.gpus):
            self._at(dice.random() * 5.0, self._arrive)
        if self.rate:
            self._at(0.0, self._flow)
        if isinstance(self.place, Ours):
            for n, gpu in enumerate(self.gpus):
                self._at(world.report_s * n / world.gpus, lambda gpu=gpu: self._report(gpu))  # type: ignore[misc]
        warm = 0
        while self._events and self._events[0][0] < world.seconds:
            self.now, _, happen = heapq.heappop(self._events)
            if self.now < world.warm_s:
                warm = sum(g.loads for g in self.gpus) if self.now > world.warm_s - 1 else warm
            happen()
        self.out.loads = sum(g.loads for g in self.gpus) - warm
        for job in (job for g in self.gpus for jobs in g.line.values() for job in jobs):
            self._waited(job, world.seconds)  # at least so long, for those never served
        return self.out

    def _at(self, when: float, happen: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._order), happen))

    def _flow(self) -> None:
        self._arrive()
        self._at(self.now + self.dice.expovariate(self.rate), self._flow)

    def _arrive(self) -> None:
        one, other = self._drawn()
        tokens = TOKENS[0] * math.exp(self.dice.gauss(0.0, TOKENS[1]))
        job = Job(self.now, (min(one, other), max(one, other)), tokens)
        gpu = self.place(job, self.now)
        gpu.add(job)
        self._step(gpu)

    def _drawn(self) -> tuple[str, str]:
        if self.world.crowd and self.now >= self.world.warm_s and self.dice.random() < self.world.crowd:
            return self.models[-2], self.models[-1]
        one, other = self.dice.choices(self.models, cum_weights=self.weights, k=2)
        while other == one:
            other = self.dice.choices(self.models, cum_weights=self.weights)[0]
        return one, other

    def _waited(self, job: Job, until: float) -> None:
        if job.at >= self.world.warm_s:
            self.out.waits.append(until - job.at)
            if job.pair == self.models[-2:]:
                self.out.crowd_waits.append(until - job.at)

    def _step(self, gpu: Gpu) -> None:
        begun, load = gpu.step(self.now)
        for job in begun:
            self._waited(job, self.now)
            took = self.costs.answer_s(job.tokens, gpu.running)
            self._at(self.now + took, lambda job=job: self._end(gpu, job))  # type: ignore[misc]
        if load:
            self._at(self.now + self.costs.load_s[load], lambda: self._loaded(gpu))
        elif gpu.waiting and gpu.switching is None and not gpu.looked_after:
            gpu.looked_after = True
            self._at(self.now + TICK_S, lambda: self._look(gpu))
        self.place.told(gpu, self.now)

    def _look(self, gpu: Gpu) -> None:
        gpu.looked_after = False
        self._step(gpu)

    def _loaded(self, gpu: Gpu) -> None:
        gpu.loaded(self.now)
        self._step(gpu)

    def _end(self, gpu: Gpu, job: Job) -> None:
        gpu.ended(job, self.now)
        self.out.ended += self.now >= self.world.warm_s
        self.out.ends[int(self.now / BIN_S)] += 1
        self._step(gpu)
        if self.per_gpu:
            self._arrive()

    def _report(self, gpu: Gpu) -> None:
        assert isinstance(self.place, Ours)
        self.place.heard(gpu, self.now)
        self._at(self.now + self.world.report_s, lambda: self._report(gpu))
