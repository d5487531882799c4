"""Which worker a job goes to: where it would start soonest, what the move would cost others included.

Pure: the newest reports, what was sent since, a pair, dice and the clock go in; a worker's name comes out. A worker
that has the pair in memory costs nothing, one that must load costs its own measured seconds; loading where the pair
does not belong (see homes.py) costs them twice, for what it displaces will be loaded again. A load also puts off all
who wait there, so it costs its seconds once more for each of them, except where the pair waits already: that load comes
anyway. So battles of one pair collect, and a load serves several.

Waits that differ by less than :data:`ALIKE_S` are the same: of two such workers, picked at random, the one with fewer
battles is taken, so that several senders with the same old reports do not all run to the same one (M. Mitzenmacher,
"How useful is old information?", IEEE TPDS 11(1), 2000).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from random import Random

from worker.contract.homes import Homes, spread
from worker.contract.residency import Residency, pair_key, silent

ALIKE_S = 0.5
FLIGHT_S = 0.5
"""A job sent this short a time before a report came may not be in it."""
REFRESH_S = 5.0
"""As often demand is added up."""
FEW = 12
"""Of so many workers all are looked at; of more, those with the pair, so many where it waits, its homes, others."""
_MORE = 4
_LOAD_S = 15.0
"""Of a worker that does not say what a load costs."""


def job_key(models: Sequence[str]) -> str:
    """What demand is counted by: a pair's key, or the one model's id."""
    return pair_key(*models) if len(models) == 2 else models[0]


class Fleet:
    """All workers as they last said they were, and what was sent to them since. Not safe to share between threads."""

    def __init__(self) -> None:
        self.reports: dict[str, Residency] = {}
        self._here: dict[str, set[str]] = defaultdict(set)
        self._line: dict[str, set[str]] = defaultdict(set)
        """Workers by what waits there, see :func:`job_key`."""
        self._waits: dict[str, set[str]] = {}
        """The same by worker: what it reports, and what was sent there since."""
        self._sent: dict[str, list[tuple[float, str]]] = {}
        self._taking: list[str] = []
        self._serves: dict[tuple[str, ...], frozenset[str]] = {}
        self._homes: Homes | None = None
        self._homes_at = 0.0

    def see(self, reports: Sequence[Residency], now: float) -> None:
        """These are all workers there are. ``now``: seconds of a clock that only this fleet's callers need share."""
        for gone in self.reports.keys() - {r.worker for r in reports}:
            self.forget(gone)
        for report in reports:
            self.update(report, now)

    def update(self, report: Residency, now: float) -> None:
        """One worker's newest report."""
        before = self.reports.get(report.worker)
        if before is not None and before.at == report.at:
            if before.silent_s != report.silent_s:
                self.reports[report.worker] = report
            return
        self.reports[report.worker] = report
        sent = [(at, key) for at, key in self._sent.get(report.worker, ()) if at > now - FLIGHT_S]
        waits = {*report.waits, *(key for _, key in sent)}
        was = {*before.ready, *before.loading} if before is not None else set()
        _move(self._here, report.worker, was, {*report.ready, *report.loading})
        _move(self._line, report.worker, self._waits.get(report.worker, set()), waits)
        self._sent[report.worker], self._waits[report.worker] = sent, waits
        if before is None or (before.accepting, before.models) != (report.accepting, report.models):
            self._changed()

    def forget(self, worker: str) -> None:
        """It is gone."""
        if self.reports.pop(worker, None) is not None:
            self._sent.pop(worker, None)
            for workers in self._here.values():
                workers.discard(worker)
            _move(self._line, worker, self._waits.pop(worker, set()), set())
            self._changed()

    def place(
        self, models: Sequence[str], now: float, dice: Random, reports: Sequence[Residency] | None = None
    ) -> str | None:
        """The worker a job that needs ``models`` is sent to now, which counts as sent; None when nobody takes it.

        ``reports``: all workers there are, where they are not told one by one by :meth:`update`.
        """
        if reports is not None:
            self.see(reports, now)
        worker = choose(self, models, now, dice)
        if worker is not None:
            key = job_key(models)
            self._sent[worker].append((now, key))
            self._waits[worker].add(key)
            self._line[key].add(worker)
        return worker

    def homes(self, now: float) -> Homes:
        """Which worker is to keep what, as demand stood :data:`REFRESH_S` ago at most."""
        if self._homes is None or now - self._homes_at >= REFRESH_S:
            demand: dict[str, float] = defaultdict(float)
            for report in self.reports.values():
                for key, rate in report.asked.items():
                    demand[key] += rate
            serves = {w: self._models(self.reports[w]) for w in self._taking}
            known = {m for has in serves.values() for m in has}
            asked = {k: rate for k, rate in demand.items() if known.issuperset(k.split("|"))}
            self._homes = spread(serves, asked, self._homes)
            self._homes_at = now
        return self._homes

    def candidates(self, models: Sequence[str], homes: Homes, dice: Random) -> list[str]:
        """Who is looked at for a job."""
        if len(self._taking) <= FEW:
            return self._taking
        there = set.intersection(*(self._here[m] for m in models))
        found = dict.fromkeys([*sorted(there), *homes.of(job_key(models))])
        waiting = self._line.get(job_key(models), ())
        for some, many in ((waiting, FEW), *((self._here[m], _MORE) for m in models), (self._taking, _MORE)):
            found.update(dict.fromkeys(dice.sample(sorted(some), min(many, len(some)))))
        return list(found)

    def everybody(self) -> list[str]:
        """Names of all who take jobs."""
        return self._taking

    def in_flight(self, worker: str) -> int:
        """Jobs sent there that its report does not know of."""
        return len(self._sent.get(worker, ()))

    def waits(self, worker: str, key: str) -> bool:
        """Whether such a job waits there already."""
        return key in self._waits.get(worker, ())

    def _models(self, report: Residency) -> frozenset[str]:
        if report.models not in self._serves:
            self._serves[report.models] = frozenset(report.models)
        return self._serves[report.models]

    def can(self, worker: str, models: Iterable[str]) -> bool:
        """Whether it takes jobs, and all of ``models`` could answer there, together or in turn."""
        report = self.reports.get(worker)
        if report is None or not report.accepting:
            return False
        serves = self._models(report)
        return all((not serves or m in serves) and m not in report.failed for m in models)

    def _changed(self) -> None:
        self._taking = sorted(name for name, r in self.reports.items() if r.accepting)
        if self._homes is not None:
            self._homes_at = float("-inf")


def _move(index: dict[str, set[str]], worker: str, was: set[str], has: set[str]) -> None:
    for what in was - has:
        index[what].discard(worker)
    for what in has - was:
        index[what].add(worker)


def choose(fleet: Fleet, models: Sequence[str], now: float, dice: Random) -> str | None:
    """The worker for a job that needs ``models``; None when nobody takes it."""
    homes = fleet.homes(now)
    key = job_key(models)
    belongs = homes.of(key)
    offers: list[tuple[int, str]] = []
    for looked_at in (fleet.candidates(models, homes, dice), fleet.everybody()):
        for worker in looked_at:
            wait = _wait_s(fleet, worker, models, key, worker in belongs)
            if wait is not None:
                offers.append((int(wait / ALIKE_S), worker))
        if offers:
            break
    if not offers:
        return None
    soonest = min(wait for wait, _ in offers)
    alike = [worker for wait, worker in offers if wait == soonest]
    return min(dice.sample(alike, min(2, len(alike))), key=lambda w: _busy(fleet, w))


def _wait_s(fleet: Fleet, worker: str, models: Sequence[str], key: str, belongs: bool) -> float | None:
    """Seconds that a job costs there; None when it would not be taken."""
    if not fleet.can(worker, models):
        return None
    report, more = fleet.reports[worker], fleet.in_flight(worker)
    if key in report.refuses or (len(models) == 1 and models[0] in report.refuses_alone):
        return None
    if 0 < report.queue_bound <= report.waiting + more:
        return None
    bring = sum(bring_s(report, m) for m in models)
    told = report.eta.get(key)
    wait = report.line_s + bring if told is None else told
    wait += (report.waiting + more) * report.each_s
    if bring and not belongs:
        wait += bring
    if not fleet.waits(worker, key):
        wait += bring * (report.waiting + more)
    return wait + 2 * report.silent_s if silent(report) else wait  # it may be dead


def bring_s(report: Residency, model: str) -> float:
    """Seconds until ``model`` could answer there, were nothing in its way."""
    if model in report.ready or model in report.loading:
        return 0.0
    return report.bring_s.get(model, _LOAD_S)


def _busy(fleet: Fleet, worker: str) -> int:
    report = fleet.reports[worker]
    return report.running + report.waiting + fleet.in_flight(worker)
