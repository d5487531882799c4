from __future__ import annotations

from typing import Any

import pytest

from web.arena.admission import admit, admit_alone, admit_pair
from web.errors import Busy, NoWorker
from worker.contract.residency import Residency, pair_key

CATALOG = ("m1", "m2", "m3")


def report(**fields: Any) -> Residency:
    known = {"worker": "w", "at": 0.0, "accepting": True, "capacity": 2, "queue_bound": 10, **fields}
    return Residency(**known)


def test_all_models_of_the_catalog_may_meet_when_a_worker_says_nothing_else() -> None:
    assert admit([report()], CATALOG) == list(CATALOG)


@pytest.mark.parametrize("reports", [[], [report(accepting=False)]])
def test_nobody_accepting_is_no_worker(reports: list[Residency]) -> None:
    with pytest.raises(NoWorker) as caught:
        admit(reports, CATALOG)
    assert "Retry-After" in caught.value.headers


def test_a_model_that_failed_everywhere_takes_no_part() -> None:
    assert admit([report(failed={"m2": "load"})], CATALOG) == ["m1", "m3"]
    assert admit([report(failed={"m2": "load"}), report(worker="v")], CATALOG) == list(CATALOG)


def test_one_model_alone_is_no_battle() -> None:
    with pytest.raises(NoWorker):
        admit([report(failed={"m2": "load", "m3": "load"})], CATALOG)


def test_models_no_worker_serves_take_no_part() -> None:
    assert admit([report(models=("m3", "m1", "other"))], CATALOG) == ["m1", "m3"]


@pytest.mark.parametrize(("eta", "seconds"), [(None, "10"), (0.2, "1"), (33.4, "33"), (9999.0, "120")])
def test_full_lines_everywhere_are_busy(eta: float | None, seconds: str) -> None:
    with pytest.raises(Busy) as caught:
        admit([report(waiting=10, eta_s=eta), report(worker="v", waiting=11, eta_s=eta)], CATALOG)
    assert caught.value.headers["Retry-After"] == seconds


def test_one_open_line_is_enough() -> None:
    assert admit([report(waiting=10), report(worker="v", waiting=9)], CATALOG) == list(CATALOG)


def test_a_sleeping_model_takes_part() -> None:
    assert admit([report(models=CATALOG, ready=("m1", "m2"), sleeping=("m3",))], CATALOG) == list(CATALOG)


def test_a_pair_nobody_refuses_is_taken() -> None:
    admit_pair([report(models=CATALOG, refuses={pair_key("m1", "m3"): 9.0})], "m1", "m2")


def test_a_pair_every_worker_refuses_is_busy_for_the_shortest_time() -> None:
    refuses = [report(worker=w, refuses={pair_key("m1", "m2"): s}) for w, s in (("w", 31.0), ("v", 12.4))]
    with pytest.raises(Busy) as caught:
        admit_pair(refuses, "m2", "m1")
    assert caught.value.headers["Retry-After"] == "12"


@pytest.mark.parametrize(
    "other",
    [
        report(worker="v", accepting=False),
        report(worker="v", models=("m1",)),
        report(worker="v", failed={"m2": "load"}),
    ],
)
def test_a_worker_that_could_not_serve_the_pair_does_not_save_it(other: Residency) -> None:
    with pytest.raises(Busy):
        admit_pair([report(refuses={pair_key("m1", "m2"): 5.0}), other], "m1", "m2")


def test_one_worker_that_takes_the_pair_is_enough() -> None:
    admit_pair([report(refuses={pair_key("m1", "m2"): 5.0}), report(worker="v")], "m1", "m2")


def test_a_pair_whose_models_live_on_different_workers_has_no_worker() -> None:
    with pytest.raises(NoWorker):
        admit_pair([report(models=("m1",)), report(worker="v", models=("m2",))], "m1", "m2")


def test_a_model_alone_is_taken_refused_or_not_there_by_what_its_workers_say() -> None:
    full = report(refuses_alone={"m1": 7.0})
    admit_alone([full], "m2")
    admit_alone([full, report(worker="other")], "m1")
    with pytest.raises(Busy) as busy:
        admit_alone([full, report(worker="other", refuses_alone={"m1": 3.0})], "m1")
    assert busy.value.headers["Retry-After"] == "3"
    with pytest.raises(Busy):
        admit_alone([report(waiting=10)], "m1")
    for nobody in ([], [report(accepting=False)], [report(failed={"m1": "x"})], [report(models=("m2",))]):
        with pytest.raises(NoWorker):
            admit_alone(nobody, "m1")
