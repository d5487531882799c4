"""What workers load first: alone the catalog's first, together each something else, by demand where there is some."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from tests.worker.control.conftest import LORA, REMOTE, entry
from worker.contract import residency
from worker.contract.catalog import load_catalog
from worker.contract.residency import Residency
from worker.models.fitting import Fit, plan_for
from worker.preload import agreed, first_to_load

MODELS = ("ant", "bee", "cat", "dog")


def fit_of(tmp_path: Path, text: str = "", memory: str = "8GiB", capacity: int = 2) -> Fit:
    file = tmp_path / "catalog.toml"
    file.write_text(text or "".join(entry(m) for m in MODELS))
    return plan_for(load_catalog(file), tmp_path, capacity=capacity, gpu_memory=memory, host_memory="64GiB")


def other(worker: str, *ready: str, accepting: bool = True, **fields: Any) -> Residency:
    return Residency(worker, 0.0, accepting, 2, ready=ready, **fields)


@pytest.fixture
def fit(tmp_path: Path) -> Fit:
    return fit_of(tmp_path)


def test_alone_it_loads_the_first_of_the_catalog(fit: Fit) -> None:
    assert first_to_load(fit) == ("ant", "bee")


def test_beside_others_it_loads_what_they_lack_and_then_pairs_that_are_nowhere(fit: Fit) -> None:
    one = other("one", "ant", "bee")
    assert first_to_load(fit, [one]) == ("cat", "dog")
    third = first_to_load(fit, [one, other("two", accepting=False, loading=("cat",), planned=("cat", "dog"))])
    assert third == ("ant", "cat")


def test_those_who_leave_or_may_be_dead_hold_nothing_for_it(fit: Fit) -> None:
    assert first_to_load(fit, [other("one", "ant", "bee", accepting=False)]) == ("ant", "bee")
    assert first_to_load(fit, [other("one", "ant", "bee", silent_s=6.0)]) == ("ant", "bee")


def test_what_is_asked_for_most_is_loaded_again_until_it_has_its_share(fit: Fit) -> None:
    asked = {"cat|dog": 30.0, "ant|bee": 10.0}
    others = [other("one", "cat", "dog", asked=asked)]
    assert first_to_load(fit, others) == ("cat", "dog"), "30 shared by two is more than 10"
    others += [other("two", "cat", "dog"), other("three", "cat", "dog")]
    assert first_to_load(fit, others) == ("ant", "bee"), "30 shared by four is less"


def test_only_what_fits_beside_it_and_endpoints_elsewhere_always(tmp_path: Path) -> None:
    small = fit_of(tmp_path, memory="4GiB", capacity=3)
    assert len(first_to_load(small)) == 2, "there is a place for a third one, and no memory"
    assert first_to_load(small, [other("one", "ant", "bee")]) == ("cat", "dog")
    far = fit_of(tmp_path, entry("ant") + entry("far", REMOTE) + entry("ants-kin", LORA) + entry("bee"))
    assert first_to_load(far) == ("ant", "bee", "far")
    assert first_to_load(far, [other("one", "ants-kin", "ant")]) == ("bee", "ant", "far")


def test_workers_that_start_at_the_same_moment_agree(fit: Fit, redis_url: str, redis_client: object) -> None:
    async def start() -> list[tuple[str, ...]]:
        async with redis.asyncio.Redis.from_url(redis_url) as client:
            chosen = await asyncio.gather(*(agreed(client, f"w{n}", fit) for n in range(6)))
            assert {r.planned for r in await residency.read_async(client)} == set(chosen)
            assert not any(r.accepting for r in await residency.read_async(client))
            return chosen

    assert len(set(asyncio.run(start()))) == 6, "of four models there are six pairs"


def test_what_its_operator_has_chosen_is_known_to_the_others(fit: Fit, redis_url: str, redis_client: object) -> None:
    async def start() -> tuple[tuple[str, ...], tuple[str, ...]]:
        async with redis.asyncio.Redis.from_url(redis_url) as client:
            return await agreed(client, "w0", fit, ("ant", "dog")), await agreed(client, "w1", fit)

    assert asyncio.run(start()) == (("ant", "dog"), ("bee", "cat"))


def test_without_redis_it_starts_as_if_alone(fit: Fit, caplog: pytest.LogCaptureFixture) -> None:
    async def start() -> tuple[str, ...]:
        async with redis.asyncio.Redis(port=9, socket_connect_timeout=1) as client:
            return await agreed(client, "w0", fit)

    assert asyncio.run(start()) == ("ant", "bee")
    assert "may load the same models" in caplog.text
