"""What only a GPU can show: memory given back by sleep, what waking costs, two engines on one card, a switch.

Figures are printed, not asserted: they are the card's. ``./ops/test -m gpu -s`` shows them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from tests.engines import greedy, order, with_engines
from tests.gpu import link
from tests.gpu.machine import needs_gpu, smallest, weights
from tests.gpu.scenes import (
    against_the_seed,
    hear,
    hear_together,
    pool_of,
    state,
    switch,
    switch_back,
    table,
)
from worker.contract.catalog import ModelSpec
from worker.engines.held import device_used
from worker.engines.vllm import VllmEngine
from worker.errors import EngineError
from worker.memory import Bytes, Tier
from worker.models.machine import find_gpu, host_available
from worker.pool.states import EngineState

pytestmark = needs_gpu

GIB = 2**30
MIB = 2**20
RESIDUE = 3 * GIB
"""The most that anybody saw a sleeping engine keep: context, graphs, buffers."""

Show = Callable[[str], None]


@pytest.fixture
def show(capsys: pytest.CaptureFixture[str]) -> Show:
    def shown(text: str) -> None:
        with capsys.disabled():
            print(text)

    return shown


@pytest.fixture
def models() -> tuple[ModelSpec, ...]:
    return smallest()


def used() -> int:
    """Bytes taken of the device, by anybody."""
    taken = device_used(1)
    assert taken is not None, "NVML tells"
    return taken


def budget() -> Bytes:
    gpu = find_gpu()
    assert gpu is not None
    return Bytes(gpu.memory, host_available())


def test_two_engines_stream_at_once(models: tuple[ModelSpec, ...], show: Show) -> None:
    async def body(*engines: VllmEngine) -> None:
        for engine in engines:
            await hear(engine, 16)  # the first answer also warms up
        alone = [await hear(engine) for engine in engines]
        both = await hear_together(engines)
        show(table("alone", against_the_seed(alone)))
        show(table("two engines at once", against_the_seed(both)))

    with_engines(body, *(order(m) for m in models[:2]))


@pytest.mark.parametrize("tier", ["l1", "l2"])
def test_sleep_gives_memory_back_and_waking_answers_as_before(
    tier: Tier, models: tuple[ModelSpec, ...], show: Show
) -> None:
    model = models[-1]
    size = weights(model)
    speeds = link.measured()

    async def body(engine: VllmEngine) -> None:
        before = await greedy(engine)
        awake, held = used(), engine.held()
        assert held is not None
        assert held.device > size + model.kv_bytes, "weights and cache are counted"
        slept: list[float] = []
        woke: list[float] = []
        for _ in range(3):
            began = time.perf_counter()
            await engine.sleep(tier)
            slept.append(time.perf_counter() - began)
            freed = awake - used()
            assert freed > 0.9 * (size + model.kv_bytes), "weights and cache are off the device"
            asleep = engine.held()
            assert asleep is not None
            assert asleep.device < RESIDUE
            assert tier == "l2" or asleep.host >= held.host + 0.9 * size, "what left the device is on the host"

            began = time.perf_counter()
            await engine.wake(tier)
            await engine.verify()
            woke.append(time.perf_counter() - began)
            assert await greedy(engine) == before
            assert used() == pytest.approx(awake, abs=256 * MIB)
        bound = size / speeds.to_device
        rows = [
            ("weights, MiB", f"{size / MIB:.0f}"),
            ("freed, MiB", f"{freed / MIB:.0f} of {awake / MIB:.0f} in use"),
            ("kept while asleep, MiB", f"{asleep.device / MIB:.0f} of the device, {asleep.host / MIB:.0f} of the host"),
            ("sleep, s", ", ".join(f"{s:.3f}" for s in slept)),
            ("wake and canary, s", ", ".join(f"{s:.3f}" for s in woke)),
            ("link, GB/s to the device and back", f"{speeds.to_device / 1e9:.1f}, {speeds.to_host / 1e9:.1f}"),
            ("weights over the link, s", f"{bound:.3f}: waking takes {min(woke) / bound:.1f} times that"),
        ]
        show(table(f"sleep {tier} of {model.id}", rows))

    with_engines(body, order(model, may_sleep=True))


def test_level_2_without_reading_the_weights_again_is_caught(models: tuple[ModelSpec, ...]) -> None:
    async def body(engine: VllmEngine) -> None:
        await engine.sleep("l2")
        await engine._llm.wake_up()  # the one step that looks enough and is not
        with pytest.raises(EngineError, match="canary"):
            await engine.verify()

    with_engines(body, order(models[0], may_sleep=True))


def test_unload_gives_everything_back(models: tuple[ModelSpec, ...]) -> None:
    async def body(engine: VllmEngine) -> None:
        assert used() > before + models[0].kv_bytes
        assert await greedy(engine)

    before = used()
    with_engines(body, order(models[0]))
    assert used() == pytest.approx(before, abs=64 * MIB)


def test_the_pool_unloads_the_one_used_longest_ago(models: tuple[ModelSpec, ...]) -> None:
    async def go() -> None:
        stays, goes, comes = models
        async with pool_of(models, budget(), on_gpu=True) as pool:
            await switch(pool, stays, goes, comes)
            assert state(pool, goes) is EngineState.COLD

    before = used()
    asyncio.run(go())
    assert used() == pytest.approx(before, abs=64 * MIB), "closing the pool leaves nothing on the device"


@pytest.mark.parametrize("tier", ["l1", "l2"])
def test_the_pool_switches_by_sleeping_and_waking(tier: Tier, models: tuple[ModelSpec, ...], show: Show) -> None:
    async def go() -> None:
        stays, goes, comes = models
        async with pool_of(models, budget(), on_gpu=True, tier=tier) as pool:
            await switch(pool, stays, goes, comes)
            assert pool.slots[goes.id].view.tier == tier
            took = await switch_back(pool, stays, goes)
            assert state(pool, comes) is EngineState.SLEEPING
            costs = pool.slots[goes.id].view.costs
            rows = [
                (f"{comes.id} sleeps, {goes.id} wakes, s", f"{took:.2f}"),
                ("of that waking and canary, s", f"{costs.wake_s:.2f}"),
                (f"loading {goes.id} took, s (first notes: a switch in 10-15)", f"{costs.load_s:.2f}"),
            ]
            show(table(f"a switch by {tier}", rows))

    asyncio.run(go())
