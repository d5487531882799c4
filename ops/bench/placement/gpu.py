"""One GPU of a simulated fleet: a few engines in memory, one load at a time, a line of battles by pair.

What it does with its line is the pool's rule in short, and the same whoever places the battles: those for the pair in
memory go on, the longest-waiting pair is switched to once the others have waited together as long as the switch costs,
an engine goes only when it serves nobody, and of those that may go the one used longest ago does.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from worker.contract.residency import Residency, pair_key

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Costs:
    """``load_s`` by model. ``rate``: tokens a second of an answer that is alone; ``slower``: by each one beside it."""

    load_s: dict[str, float]
    rate: float = 45.0
    slower: float = 0.04
    seats: int = 16
    capacity: int = 2

    def answer_s(self, tokens: float, beside: int) -> float:
        return tokens / self.rate * (1.0 + self.slower * beside)


@dataclass(slots=True)
class Job:
    """``begun``: when it had its engines."""

    at: float
    pair: Pair
    tokens: float
    begun: float = 0.0


@dataclass(slots=True)
class Gpu:
    """``step`` after everything that happens; ``moving_until`` is when it is to be told that a load has ended."""

    name: str
    costs: Costs
    up: dict[str, float]
    """Engines in memory: when each was used last."""
    line: dict[Pair, deque[Job]] = field(default_factory=dict)
    serving: dict[str, int] = field(default_factory=dict)
    running: int = 0
    waiting: int = 0
    loads: int = 0
    switching: Pair | None = None
    loading: str = ""
    typical_s: float = 6.0
    looked_after: bool = False

    def add(self, job: Job) -> None:
        self.line.setdefault(job.pair, deque()).append(job)
        self.waiting += 1

    def ended(self, job: Job, now: float) -> None:
        self.running -= 1
        self.typical_s += 0.05 * (now - job.begun - self.typical_s)
        for model in job.pair:
            self.serving[model] -= 1
            self.up[model] = now

    def loaded(self, now: float) -> None:
        self.up[self.loading] = now
        self.loading = ""

    def step(self, now: float) -> tuple[list[Job], str]:
        """Battles that begin now, and the model whose load does; empty where none does."""
        if self.switching is not None and all(m in self.up for m in self.switching):
            self.switching = None
        begun = self._begin(now)
        self._decide(now)
        return begun, self._load()

    def _decide(self, now: float) -> None:
        if self.switching is not None or self.loading:
            return
        others = [pair for pair, jobs in self.line.items() if jobs and not all(m in self.up for m in pair)]
        if not others:
            return
        first = min(others, key=lambda pair: self.line[pair][0].at)
        here = any(jobs for pair, jobs in self.line.items() if all(m in self.up for m in pair))
        waited = sum(now - job.at for pair in others for job in self.line[pair])
        if not (here or self.running) or waited >= self.bring_s(first):
            self.switching = first

    def _begin(self, now: float) -> list[Job]:
        begun: list[Job] = []
        for pair in list(self.line):
            jobs = self.line[pair]
            held_up = self.switching is not None and self.switching != pair
            while jobs and not held_up and self._seat(pair):
                job = jobs.popleft()
                job.begun = now
                begun.append(job)
                self.waiting -= 1
                self.running += 1
                for model in pair:
                    self.serving[model] = self.serving.get(model, 0) + 1
                    self.up[model] = now
            if not jobs:
                del self.line[pair]
        return begun

    def _seat(self, pair: Pair) -> bool:
        return all(m in self.up and self.serving.get(m, 0) < self.costs.seats for m in pair)

    def _load(self) -> str:
        if self.switching is None or self.loading:
            return ""
        missing = next((m for m in self.switching if m not in self.up), "")
        if missing and len(self.up) >= self.costs.capacity:
            idle = [m for m in self.up if m not in self.switching and not self.serving.get(m)]
            if not idle:
                return ""
            del self.up[min(idle, key=self.up.__getitem__)]
        if missing:
            self.loading = missing
            self.loads += 1
        return missing

    # ── what it tells ────────────────────────────────────────────────────────────────────────────────────────────

    def bring_s(self, pair: Pair) -> float:
        return sum(self.costs.load_s[m] for m in pair if m not in self.up)

    def report(self, now: float, asked: dict[str, float]) -> Residency:
        """As :func:`worker.report.report_of` makes it, of a catalog too long to tell every pair's outlook."""
        line_s, eta = 0.0, {}
        for pair in self.line:
            line_s += self.typical_s / 2 + self.bring_s(pair)
            eta[pair_key(*pair)] = line_s
        ready = tuple(self.up)
        if len(ready) == 2 and self.switching is None and self._seat((ready[0], ready[1])):
            eta.setdefault(pair_key(*ready), 0.0)
        return Residency(
            worker=self.name,
            at=now,
            accepting=True,
            capacity=self.costs.capacity,
            models=tuple(self.costs.load_s),
            ready=ready,
            loading=(self.loading,) if self.loading else (),
            running=self.running,
            waiting=self.waiting,
            eta=eta,
            bring_s=self.costs.load_s,
            line_s=line_s,
            each_s=self.typical_s / self.costs.seats,
            asked=asked,
            waits=tuple(pair_key(*pair) for pair in self.line),
        )
