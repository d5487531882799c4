"""A fleet of simulated GPUs and whoever places battles on it: ours on reports that are old, the others on the truth."""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import accumulate, count
from random import Random
from typing import Protocol

from ops.bench.placement.gpu import Costs, Gpu, Job
from worker.contract.placement import Fleet, choose
from worker.contract.residency import pair_key

REPORT_S = 2.0
TICK_S = 1.0
"""A GPU on which nothing happens decides as often."""
SENDERS = 4
"""Processes that place, each knowing only what it has sent itself."""
SIZES_S = (5.0, 20.0)
"""A load's seconds, from the smallest model to the largest."""
TOKENS = (220.0, 0.6)
"""Of the longer of a battle's answers: the median, and the spread of its logarithm."""


@dataclass(frozen=True, slots=True)
class World:
    """``zipf``: a model's demand is ``1 / rank ** zipf``; a battle's two models are drawn one after the other."""

    gpus: int = 1000
    models: int = 200
    zipf: float = 1.0
    seconds: float = 300.0
    warm_s: float = 150.0
    seed: int = 0


@dataclass(slots=True)
class Outcome:
    """``waits``: seconds from arrival to start, of battles that came after the warm-up; ``ended``, ``loads``: since."""

    waits: list[float] = field(default_factory=list)
    ended: int = 0
    loads: int = 0


class Placing(Protocol):
    """Which GPU a job goes to. ``told``: a GPU has something new to say."""

    def __call__(self, job: Job, now: float) -> Gpu: ...

    def told(self, gpu: Gpu, now: float) -> None: ...


class Run:
    """One day. ``per_gpu``: battles in the fleet per GPU, each followed by another; or ``rate``: arrivals a second."""

    def __init__(self, world: World, who: str, *, per_gpu: int = 0, rate: float = 0.0) -> None:
        self.world, self.rate, self.per_gpu = world, rate, per_gpu
        self.dice = Random(world.seed)  # noqa: S311 - a simulation
        self.models = tuple(f"m{n:03}" for n in range(world.models))
        self.weights = list(accumulate(1.0 / (n + 1) ** world.zipf for n in range(world.models)))
        low, high = SIZES_S
        sizes = Random(world.seed + 1)  # noqa: S311
        costs = Costs({m: low * (high / low) ** sizes.random() for m in self.models})
        begin = Random(world.seed + 2)  # noqa: S311
        self.gpus = [Gpu(f"gpu{n}", costs, dict.fromkeys(begin.sample(self.models, 2), 0.0)) for n in range(world.gpus)]
        self.costs = costs
        self.out = Outcome()
        self.now = 0.0
        self._order = count()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self.place = PLACINGS[who](self)

    def run(self) -> Outcome:
        world, dice = self.world, self.dice
        for _ in range(self.per_gpu * world.gpus):
            self._at(dice.random() * 5.0, self._arrive)
        if self.rate:
            self._at(0.0, self._flow)
        if isinstance(self.place, Ours):
            for n, gpu in enumerate(self.gpus):
                self._at(REPORT_S * n / world.gpus, lambda gpu=gpu: self._report(gpu))  # type: ignore[misc]
        warm = 0
        while self._events and self._events[0][0] < world.seconds:
            self.now, _, happen = heapq.heappop(self._events)
            if self.now < world.warm_s:
                warm = sum(g.loads for g in self.gpus) if self.now > world.warm_s - 1 else warm
            happen()
        self.out.loads = sum(g.loads for g in self.gpus) - warm
        late = [job for g in self.gpus for jobs in g.line.values() for job in jobs if job.at >= world.warm_s]
        self.out.waits += [world.seconds - job.at for job in late]  # at least so long, for those never served
        return self.out

    def _at(self, when: float, happen: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._order), happen))

    def _flow(self) -> None:
        self._arrive()
        self._at(self.now + self.dice.expovariate(self.rate), self._flow)

    def _arrive(self) -> None:
        one, other = self.dice.choices(self.models, cum_weights=self.weights, k=2)
        while other == one:
            other = self.dice.choices(self.models, cum_weights=self.weights)[0]
        tokens = TOKENS[0] * math.exp(self.dice.gauss(0.0, TOKENS[1]))
        job = Job(self.now, (min(one, other), max(one, other)), tokens)
        gpu = self.place(job, self.now)
        gpu.add(job)
        self._step(gpu)

    def _step(self, gpu: Gpu) -> None:
        begun, load = gpu.step(self.now)
        for job in begun:
            if job.at >= self.world.warm_s:
                self.out.waits.append(self.now - job.at)
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
        self._step(gpu)
        if self.per_gpu:
            self._arrive()

    def _report(self, gpu: Gpu) -> None:
        assert isinstance(self.place, Ours)
        self.place.heard(gpu, self.now)
        self._at(self.now + REPORT_S, lambda: self._report(gpu))


class Ours:
    """The real placement, on reports up to :data:`REPORT_S` old."""

    def __init__(self, run: Run) -> None:
        self._dice = Random(run.world.seed + 3)  # noqa: S311
        self._models = run.models
        self._by_name = {g.name: g for g in run.gpus}
        self._senders = [Fleet() for _ in range(SENDERS)]
        self._asked: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        for gpu in run.gpus:
            self.heard(gpu, -1.0)

    def __call__(self, job: Job, now: float) -> Gpu:
        sender = self._dice.choice(self._senders)
        worker = choose(sender, job.pair, now, self._dice)
        assert worker is not None, "every GPU serves every pair"
        sender.sent(worker, now)
        self._asked[worker][pair_key(*job.pair)] += 1.0
        return self._by_name[worker]

    def heard(self, gpu: Gpu, now: float) -> None:
        report = gpu.report(now, self._models, dict(self._asked[gpu.name]))
        for sender in self._senders:
            sender.update(report, now)

    def told(self, gpu: Gpu, now: float) -> None:
        """It reports by the clock alone, later than a real worker would."""


class Anywhere:
    """Any GPU, at random."""

    def __init__(self, run: Run) -> None:
        self._dice = Random(run.world.seed + 3)  # noqa: S311
        self._gpus = run.gpus

    def __call__(self, job: Job, now: float) -> Gpu:
        return self._dice.choice(self._gpus)

    def told(self, gpu: Gpu, now: float) -> None:
        """Nobody listens."""


class LeastLoaded:
    """The GPU with the fewest battles at this very moment, which ours does not know; ties at random.

    ``resident``: of those that have the pair in memory and a seat, if there are any.
    """

    def __init__(self, run: Run, resident: bool = False) -> None:
        self._dice = Random(run.world.seed + 3)  # noqa: S311
        self._gpus = run.gpus
        self._resident = resident
        self._heap: list[tuple[int, float, int]] = [(0, self._dice.random(), n) for n in range(len(run.gpus))]
        self._number = {g.name: n for n, g in enumerate(run.gpus)}
        self._load = [0] * len(run.gpus)
        self._has: dict[str, set[int]] = defaultdict(set)
        self._had: list[frozenset[str]] = [frozenset()] * len(run.gpus)
        for gpu in run.gpus:
            self.told(gpu, 0.0)

    def __call__(self, job: Job, now: float) -> Gpu:
        if self._resident and (there := self._has[job.pair[0]] & self._has[job.pair[1]]):
            free = [n for n in there if self._gpus[n].switching is None and self._load[n] < self._gpus[n].costs.seats]
            if free:
                return self._gpus[min(free, key=lambda n: (self._load[n], n))]
        while self._heap[0][0] != self._load[self._heap[0][2]]:
            heapq.heappop(self._heap)
        return self._gpus[self._heap[0][2]]

    def told(self, gpu: Gpu, now: float) -> None:
        n = self._number[gpu.name]
        load = gpu.running + gpu.waiting
        if load != self._load[n]:
            self._load[n] = load
            heapq.heappush(self._heap, (load, self._dice.random(), n))
        has = frozenset(gpu.up)
        for model in self._had[n] - has:
            self._has[model].discard(n)
        for model in has - self._had[n]:
            self._has[model].add(n)
        self._had[n] = has


PLACINGS: dict[str, Callable[[Run], Placing]] = {
    "ours": Ours,
    "random": Anywhere,
    "least loaded": LeastLoaded,
    "resident first, then least loaded": lambda run: LeastLoaded(run, resident=True),
}
