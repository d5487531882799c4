"""The simulated fleet: the same day twice is the same, and the real placement beats the others as it should."""

from __future__ import annotations

import json

import pytest

from ops.bench.__main__ import main
from ops.bench.contention import workers
from ops.bench.placement import OTHERS, compared
from ops.bench.placement.fleet import Run, World
from ops.bench.report import Row

SMALL = World(gpus=80, models=30, seconds=160.0, warm_s=80.0)


def of(rows: list[Row], measure: str) -> Row:
    return next(r for r in rows if r.measure == measure)


def test_the_same_day_is_the_same_day() -> None:
    world = World(gpus=12, models=6, seconds=60.0, warm_s=30.0)
    one, other = (Run(world, "ours", per_gpu=4).run() for _ in range(2))
    assert (one.ended, one.loads, one.waits) == (other.ended, other.loads, other.waits)
    assert one.ended


def test_placing_by_memory_and_demand_beats_random_and_least_loaded() -> None:
    rows = compared(SMALL, seeds=2)
    assert of(rows, "random: throughput").ratio >= 1.8
    assert of(rows, "random: P95 wait").ratio <= 0.6
    for name in OTHERS[1:]:
        assert of(rows, f"{name}: throughput").ratio >= 1.3
        assert of(rows, f"{name}: P95 wait").ratio <= 1.05


@pytest.mark.long
def test_a_thousand_gpus_and_two_hundred_models(capsys: pytest.CaptureFixture[str]) -> None:
    """The measure: ``python -m ops.bench placement --seeds 1``."""
    assert main(["placement", "--seeds", "1", "--json"]) == 0
    printed = capsys.readouterr().out
    rows = [Row(**row) for row in json.loads(printed)["rows"]]
    assert of(rows, "random: throughput").ratio >= 2.0, printed
    assert of(rows, "random: P95 wait").ratio <= 0.5, printed
    for name in OTHERS[1:]:
        assert of(rows, f"{name}: throughput").ratio >= 1.3, printed


@pytest.mark.long
@pytest.mark.parametrize(
    ("world", "per_gpu"),
    [(World(zipf=0.6), 12), (World(report_s=5.0), 12), (World(loads_s=(2.0, 60.0)), 12), (World(), 6)],
    ids=["flatter demand", "older reports", "loads far apart", "a shorter line"],
)
def test_other_worlds_keep_what_is_promised(world: World, per_gpu: int) -> None:
    with workers() as processes:
        rows = compared(world, 1, per_gpu, each=processes.map)
    assert of(rows, "random: throughput").ratio >= 2.0
    assert of(rows, "random: P95 wait").ratio <= 0.5
    assert of(rows, "least loaded: throughput").ratio >= 1.3
