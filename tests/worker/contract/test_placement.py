"""Where a job goes, given what workers have said: in memory first, then the cheapest load, never all to the same."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

from worker.contract.placement import Fleet, choose
from worker.contract.residency import Residency

MODELS = ("a", "b", "c", "d")


def report(worker: str, *ready: str, at: float = 1.0, **fields: Any) -> Residency:
    known: dict[str, Any] = {"models": MODELS, "capacity": 2, "queue_bound": 10, "each_s": 0.5, **fields}
    known.setdefault("bring_s", {m: 10.0 for m in known["models"] if m not in ready})
    return Residency(worker=worker, at=at, accepting=known.pop("accepting", True), ready=ready, **known)


def fleet(*reports: Residency) -> Fleet:
    made = Fleet()
    made.see(reports, 0.0)
    return made


def goes(made: Fleet, *models: str, times: int = 1, note: bool = False, now: float = 1.0) -> Counter[str | None]:
    """Where so many jobs go; ``note``: each is sent."""
    dice, found = Random(7), Counter[str | None]()
    for _ in range(times):
        found[made.place(models, now, dice) if note else choose(made, models, now, dice)] += 1
    return found


def test_a_job_goes_where_its_pair_is_in_memory() -> None:
    made = fleet(report("w1", "a", "b", eta={"a|b": 0.0}), report("w2", "c", "d"), report("w3", "a", "c"))
    assert goes(made, "b", "a", times=20) == {"w1": 20}
    assert goes(made, "d", times=20) == {"w2": 20}, "a chat, by its one model"


def test_else_where_least_is_to_be_loaded() -> None:
    made = fleet(report("w1", "c", "d"), report("w2", "a", "c"))
    assert goes(made, "a", "b", times=20) == {"w2": 20}
    slow = fleet(report("w1", "c", "d", bring_s={"a": 3.0, "b": 3.0}), report("w2", "a", "c", bring_s={"b": 40.0}))
    assert goes(slow, "a", "b", times=20) == {"w1": 20}


def test_one_with_a_long_line_loses_to_one_that_must_load() -> None:
    made = fleet(report("w1", "a", "b", eta={"a|b": 60.0}), report("w2", "c", "d", eta={"a|b": 12.0}))
    assert goes(made, "a", "b") == {"w2": 1}


def test_a_load_costs_those_who_wait_there_too_but_one_that_comes_anyway_does_not() -> None:
    """Of equal waits: a pair goes where nobody is put off by it, and where it waits already before that."""
    crowded, alone = report("w1", "a", "c", waiting=4, each_s=0.0), report("w2", "c", "d", each_s=0.0, line_s=15.0)
    assert goes(fleet(crowded, alone), "a", "b", times=10) == {"w2": 10}
    waits = report("w1", "a", "c", waiting=4, each_s=0.0, line_s=14.0, eta={"a|b": 14.0}, waits=("a|b",))
    assert goes(fleet(waits, alone), "a", "b", times=10) == {"w1": 10}


def test_a_second_of_a_pair_follows_the_first_that_no_report_knows_of_yet() -> None:
    made = fleet(*(report(f"w{n}", waiting=4, line_s=5.0, each_s=0.0) for n in range(6)))
    assert len(goes(made, "a", "b", times=5, note=True)) == 1
    made.see([report(f"w{n}", at=2.0, waiting=4, line_s=5.0, each_s=0.0) for n in range(6)], 30.0)
    assert not any(made.waits(f"w{n}", "a|b") for n in range(6)), "the reports since know nothing of it"


def test_of_a_large_fleet_the_one_where_a_pair_waits_is_looked_at() -> None:
    busy = [report(f"w{n}", "c", "d", waiting=6, line_s=40.0) for n in range(200)]
    made = fleet(*busy, report("theirs", "c", "d", waiting=6, line_s=40.0, eta={"a|b": 30.0}, waits=("a|b",)))
    assert goes(made, "a", "b", times=10) == {"theirs": 10}


def test_those_who_drain_fail_refuse_or_are_full_get_none() -> None:
    better = report("w9", "a", "b", eta={"a|b": 50.0})
    for worse in (
        report("w1", "a", "b", accepting=False),
        report("w1", "a", "b", failed={"b": "died"}),
        report("w1", "a", "b", refuses={"a|b": 5.0}),
        report("w1", "a", "b", waiting=10),
        report("w1", "a", models=("a",)),
    ):
        assert goes(fleet(worse, better), "a", "b", times=10) == {"w9": 10}
        assert goes(fleet(worse), "a", "b") == {None: 1}


def test_what_was_sent_since_the_last_report_counts() -> None:
    made = fleet(*(report(f"w{n}", "a", "b", eta={"a|b": 0.0}) for n in range(4)))
    spread = goes(made, "a", "b", times=40, note=True)
    assert len(spread) == 4
    assert max(spread.values()) - min(spread.values()) <= 4
    made.update(report("w0", "a", "b", at=2.0, eta={"a|b": 0.0}), now=9.0)
    assert made.in_flight("w0") == 0


def test_several_senders_with_the_same_old_reports_do_not_run_to_the_same_worker() -> None:
    reports = [report(f"w{n}", "a", "b", eta={"a|b": 0.0}, running=n % 2) for n in range(8)]
    first = Counter(choose(fleet(*reports), ("a", "b"), 1.0, Random(seed)) for seed in range(200))
    assert len(first) >= 6
    assert max(first.values()) < 70


def test_a_silent_worker_is_used_only_when_nobody_better_is_there() -> None:
    silent = report("w1", "a", "b", eta={"a|b": 0.0}, silent_s=6.0)
    assert goes(fleet(silent, report("w2", "a", "b", eta={"a|b": 3.0})), "a", "b", times=10) == {"w2": 10}
    assert goes(fleet(silent), "a", "b") == {"w1": 1}


def test_of_a_large_fleet_few_are_looked_at_and_the_right_ones_found() -> None:
    far = [report(f"w{n}", "c", "d", eta={"c|d": 0.0}) for n in range(200)]
    edge = report("edge", "x", "y", models=("x", "y"), eta={"x|y": 0.0})
    made = fleet(*far, report("has", "a", "b", eta={"a|b": 0.0}), edge)
    assert goes(made, "a", "b", times=10) == {"has": 10}
    assert goes(made, "x", "y", times=10) == {"edge": 10}
    assert len(made.candidates(("a", "b"), made.homes(1.0), Random(1))) < 40
    assert goes(made, "a", "x") == {None: 1}


def test_a_worker_that_is_gone_gets_nothing_more() -> None:
    made = fleet(report("w1", "a", "b"), report("w2", "c", "d"))
    made.see([report("w2", "c", "d")], 2.0)
    assert goes(made, "a", "b") == {"w2": 1}
