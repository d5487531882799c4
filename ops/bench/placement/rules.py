"""Who places battles on the simulated fleet: ours on reports that are old, the others on the truth of this moment."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Sequence
from random import Random
from typing import Protocol

from ops.bench.placement.gpu import Gpu, Job
from worker.contract.placement import Fleet
from worker.contract.residency import pair_key
from worker.demand import Demand

SENDERS = 4
"""Processes that place, each knowing only what it has sent itself."""


class Placing(Protocol):
    """Which GPU a job goes to. ``told``: a GPU has something new to say."""

    def __call__(self, job: Job, now: float) -> Gpu: ...

    def told(self, gpu: Gpu, now: float) -> None: ...


class Ours:
    """The real placement, on reports as old as the fleet's last ones."""

    def __init__(self, gpus: Sequence[Gpu], seed: int) -> None:
        self._dice = Random(seed)  # noqa: S311
        self._by_name = {g.name: g for g in gpus}
        self._senders = [Fleet() for _ in range(SENDERS)]
        self._now = 0.0
        self._asked = {g.name: Demand(lambda: self._now) for g in gpus}
        for gpu in gpus:
            self.heard(gpu, -1.0)

    def __call__(self, job: Job, now: float) -> Gpu:
        worker = self._dice.choice(self._senders).place(job.pair, now, self._dice)
        assert worker is not None, "every GPU serves every pair"
        self._now = now
        self._asked[worker].note(pair_key(*job.pair))
        return self._by_name[worker]

    def heard(self, gpu: Gpu, now: float) -> None:
        self._now = now
        report = gpu.report(now, self._asked[gpu.name].rates())
        for sender in self._senders:
            sender.update(report, now)

    def told(self, gpu: Gpu, now: float) -> None:
        """It reports by the clock alone, later than a real worker would."""


class Anywhere:
    """Any GPU, at random."""

    def __init__(self, gpus: Sequence[Gpu], seed: int) -> None:
        self._dice = Random(seed)  # noqa: S311
        self._gpus = gpus

    def __call__(self, job: Job, now: float) -> Gpu:
        return self._dice.choice(self._gpus)

    def told(self, gpu: Gpu, now: float) -> None:
        """Nobody listens."""


class LeastLoaded:
    """The GPU with the fewest battles at this very moment, which ours does not know; ties at random.

    ``resident``: of those that have the pair in memory and a seat, if there are any.
    """

    def __init__(self, gpus: Sequence[Gpu], seed: int, resident: bool = False) -> None:
        self._dice = Random(seed)  # noqa: S311
        self._gpus = gpus
        self._resident = resident
        self._heap: list[tuple[int, float, int]] = [(0, self._dice.random(), n) for n in range(len(gpus))]
        self._number = {g.name: n for n, g in enumerate(gpus)}
        self._load = [0] * len(gpus)
        self._has: dict[str, set[int]] = defaultdict(set)
        self._had: list[frozenset[str]] = [frozenset()] * len(gpus)
        for gpu in gpus:
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


PLACINGS: dict[str, Callable[[Sequence[Gpu], int], Placing]] = {
    "ours": Ours,
    "random": Anywhere,
    "least loaded": LeastLoaded,
    "resident first, then least loaded": lambda gpus, seed: LeastLoaded(gpus, seed, resident=True),
}
