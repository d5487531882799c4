"""Measured sizes: kept across restarts, true only for the same set-up, and never in the way when lost."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.worker.models.sizes import GIB, catalog, entry, model, scene
from worker.contract.catalog import ModelSpec
from worker.memory import Bytes
from worker.models.measured import FILE, Measured, Measurement
from worker.models.memory import sized_engines

KV = 2**20


def test_what_was_measured_is_there_after_a_restart(models_dir: Path) -> None:
    put = Measured.load(models_dir).put(model(), KV, resident=Bytes(0, 9), load_s=10.0)
    assert Measured.load(models_dir).get(model(), KV) == put == Measurement(resident=Bytes(0, 9), load_s=10.0)


def test_bytes_are_the_last_measured_and_seconds_an_average(models_dir: Path) -> None:
    known = Measured.load(models_dir)
    known.put(model(), KV, resident=Bytes(1, 1), load_s=10.0, wake_s=1.0)
    now = known.put(model(), KV, resident=Bytes(2, 2), l1=Bytes(0, 2), load_s=20.0)
    assert (now.resident, now.l1, now.wake_s, now.unload_s) == (Bytes(2, 2), Bytes(0, 2), 1.0, None)
    assert now.load_s is not None
    assert 10.0 < now.load_s < 20.0


@given(st.lists(st.floats(0.01, 1000), min_size=1))
def test_an_average_stays_within_what_was_measured(seconds: list[float]) -> None:
    known = Measured(Path("/dev/null/nowhere"), "cpu", {})
    logging.getLogger("worker.models.measured").disabled = True  # it says each time that it cannot write there
    last = [known.put(model(), KV, load_s=s) for s in seconds][-1].load_s
    logging.getLogger("worker.models.measured").disabled = False
    assert last is not None
    assert min(seconds) * 0.999 <= last <= max(seconds) * 1.001


@pytest.mark.parametrize(
    "other",
    [
        model("another"),
        model(dtype="float32"),
        model(max_model_len=1024),
        model(max_num_seqs=1),
        model(quantization="awq"),
        model(tensor_parallel=2),
        model(sources=(), path="/somewhere"),
    ],
    ids=["model", "dtype", "max_model_len", "max_num_seqs", "quantization", "tensor_parallel", "weights"],
)
def test_another_set_up_is_not_measured_yet(models_dir: Path, other: ModelSpec) -> None:
    known = Measured.load(models_dir)
    known.put(model(), KV, resident=Bytes(0, 9))
    assert known.get(other, KV) is None
    assert known.get(model(), KV) is not None


def test_another_cache_adapter_or_device_is_not_measured_yet(models_dir: Path) -> None:
    known = Measured.load(models_dir)
    known.put(model(), KV, resident=Bytes(0, 9))
    assert known.get(model(), 2 * KV) is None
    assert known.get(model(), KV, ("tuned",)) is None
    assert Measured.load(models_dir, "Tesla T4").get(model(), KV) is None


def test_how_it_is_prompted_changes_nothing(models_dir: Path) -> None:
    Measured.load(models_dir).put(model(), KV, resident=Bytes(0, 9))
    assert Measured.load(models_dir).get(model(system_prompt="Be brief.", max_tokens=9), KV) is not None


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b'{"models": {"tiny": 3}}', b"\xff\xfe", b'{"models": {"a": {"b": {"l1": 5}}}}']
)
def test_a_damaged_file_costs_its_measurements_and_nothing_else(
    models_dir: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (models_dir / FILE).write_bytes(damage)
    known = Measured.load(models_dir)
    assert known.get(model(), KV) is None
    assert "is damaged" in caplog.text
    known.put(model(), KV, load_s=1.0)
    assert Measured.load(models_dir).get(model(), KV) == Measurement(load_s=1.0)


def test_a_folder_that_cannot_be_written_is_logged_and_the_measurement_still_holds(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    known = Measured.load(tmp_path / "absent")
    known.put(model(), KV, load_s=1.0)
    known.put(model(), KV, wake_s=2.0)
    assert known.get(model(), KV) == Measurement(load_s=1.0, wake_s=2.0)
    assert "cannot be written" in caplog.text


def test_two_workers_keep_each_others_measurements(models_dir: Path) -> None:
    one, two = Measured.load(models_dir), Measured.load(models_dir)
    one.put(model("a"), KV, load_s=1.0)
    two.put(model("b"), KV, load_s=2.0)
    known = Measured.load(models_dir)
    assert known.get(model("a"), KV) is not None
    assert known.get(model("b"), KV) is not None


def test_only_the_latest_set_ups_of_a_model_are_kept(models_dir: Path) -> None:
    known = Measured.load(models_dir)
    for n in range(1, 30):
        known.put(model(), n, load_s=1.0)
    assert [known.get(model(), n) is not None for n in (1, 29)] == [False, True]


def test_writing_leaves_nothing_but_the_file(models_dir: Path) -> None:
    Measured.load(models_dir).put(model(), KV, load_s=1.0)
    assert [p.name for p in models_dir.iterdir()] == [FILE]


def test_the_plan_takes_what_was_measured_instead_of_its_estimate(models_dir: Path) -> None:
    where = scene(15 * GIB)
    entries = catalog(entry("a", 5 * GIB, GIB), entry("b", 5 * GIB, GIB))
    Measured.load(models_dir, where.device).put(entries.models[0], GIB, resident=Bytes(7, 7))
    a, b = sized_engines(entries, models_dir, where, Measured.load(models_dir, where.device))
    assert a.footprint.resident == Bytes(7, 7)
    assert a.measurement is not None
    assert b.footprint.resident.device > 6 * GIB
    assert b.measurement is None
