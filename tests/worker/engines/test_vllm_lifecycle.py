"""Sleep, wake, canary, memory and company: what the pool does to a real engine between load and unload."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import pytest
from prometheus_client import REGISTRY, Counter

from tests.engines import HELLO, SMALLEST, engine_processes, greedy, order, pieces, real, spec, with_engines
from tests.real import models_dir
from worker.contract.jobs import Sampling
from worker.engines import EngineOrder, canary
from worker.engines.vllm import VllmEngine
from worker.errors import EngineDied, EngineError
from worker.memory import Tier

pytestmark = real

MIB = 2**20


@pytest.mark.parametrize("tier", ["l1", "l2"])
def test_an_engine_that_slept_answers_as_before(tier: Tier) -> None:
    async def body(engine: VllmEngine) -> None:
        before = await greedy(engine)
        for _ in range(2):
            await engine.sleep(tier)
            assert await engine._llm.is_sleeping()
            assert engine.alive
            await engine.wake(tier)
            assert not await engine._llm.is_sleeping()
            await engine.verify()
            assert await greedy(engine) == before

    with_engines(body, order(may_sleep=True))


def test_waking_from_level_2_reads_the_weights_again() -> None:
    """Everything a GPU forgets in level 2 is zeroed here by hand: only reading it again brings the answer back."""

    async def body(engine: VllmEngine) -> None:
        before = await greedy(engine)
        await engine.sleep("l2")
        await engine._llm.collective_rpc("reset_weights")
        await engine.wake("l2")
        await engine.verify()
        assert await greedy(engine) == before

    with_engines(body, order(may_sleep=True))


def test_weights_that_changed_in_sleep_are_found_by_the_canary() -> None:
    async def body(engine: VllmEngine) -> None:
        await engine.sleep("l1")
        await engine._llm.collective_rpc("reset_weights")
        await engine.wake("l1")
        with pytest.raises(EngineError, match=f"canary of {SMALLEST} is .* instead of"):
            await engine.verify()

    with_engines(body, order(may_sleep=True))


def test_sleep_waits_for_a_running_answer_and_holds_back_a_new_one() -> None:
    async def body(engine: VllmEngine) -> None:
        stream = engine.generate("running", HELLO, Sampling(max_tokens=60, temperature=0.0))
        first = await anext(stream)
        sleeping = asyncio.create_task(engine.sleep("l1"))
        rest = [piece async for piece in stream]
        assert rest[-1].finish_reason in ("stop", "length"), "it was let finish"
        await sleeping
        said = first.text + "".join(p.text for p in rest)

        late = asyncio.create_task(greedy(engine, tokens=60))
        done, _ = await asyncio.wait([late], timeout=0.3)
        assert not done, "asleep, it answers nobody"
        await engine.wake("l1")
        assert await late == said

    with_engines(body, order(may_sleep=True))


def test_an_engine_that_dies_asleep_fails_its_wake() -> None:
    async def body(engine: VllmEngine) -> None:
        await engine.sleep("l1")
        os.kill(engine_processes()[0], signal.SIGKILL)
        with pytest.raises(EngineDied, match="wake"):
            await engine.wake("l1")
        assert not engine.alive

    with_engines(body, order(may_sleep=True))


def test_an_engine_loaded_to_stay_awake_refuses_to_sleep() -> None:
    async def body(engine: VllmEngine) -> None:
        with pytest.raises(EngineError, match="loaded without what sleep needs"):
            await engine.sleep("l1")
        with pytest.raises(EngineError, match="no canary"):
            await engine.verify()
        assert await greedy(engine)

    with_engines(body)


def test_a_larger_cache_is_held_once_and_at_once() -> None:
    async def body(small: VllmEngine, large: VllmEngine) -> None:
        held = [e.held() for e in (small, large)]
        assert held[0] is not None
        assert held[1] is not None
        assert held[1].host - held[0].host == pytest.approx(more, abs=0.25 * more)

    more = 448 * MIB
    with_engines(body, order(), EngineOrder(spec(), int(spec().kv_bytes) + more))


def test_held_is_measured_and_counts_the_whole_cache() -> None:
    async def body(engine: VllmEngine) -> None:
        held = engine.held()
        assert held is not None
        weights = sum(f.stat().st_size for f in (models_dir() / SMALLEST).glob("*.safetensors"))
        assert held.device == 0, "on a CPU everything is the host's"
        assert weights + spec().kv_bytes < held.host < weights + spec().kv_bytes + 2500 * MIB
        await pieces(engine, max_tokens=32)
        after = engine.held()
        assert after is not None
        assert after.host >= held.host, "pages of the cache that are used now were counted already"

    with_engines(body)
    assert VllmEngine(order(), models_dir()).held() is None


def test_two_engines_answer_at_once() -> None:
    async def body(first: VllmEngine, second: VllmEngine) -> None:
        assert len(engine_processes()) == 2
        alone = [await greedy(e) for e in (first, second)]

        streams = [e.generate("both", HELLO, Sampling(max_tokens=40)) for e in (first, second)]
        for stream in streams:
            assert (await anext(stream)).text, "both have begun before either has ended"
        for stream in streams:
            assert [p async for p in stream][-1].finish_reason

        os.kill(first._llm.engine_core.resources.engine_manager.processes[0].pid, signal.SIGKILL)
        assert await greedy(second) == alone[1], "the death of one is no matter to the other"
        async with asyncio.timeout(30):
            while first.alive:
                await asyncio.sleep(0.02)
        assert second.alive

    with_engines(body, order(), order(spec("smollm2-135m")))
    assert engine_processes() == []


@pytest.fixture
def collector() -> Any:
    """Named as vLLM's own are, since those are what vLLM takes away."""
    ours = Counter("vllm:ours", "registered by whoever runs two engines", registry=REGISTRY)
    yield ours
    REGISTRY.unregister(ours)


def test_a_second_engine_leaves_the_prometheus_collectors_of_the_first(collector: Counter) -> None:
    async def body(first: VllmEngine, second: VllmEngine) -> None:
        assert await greedy(first, tokens=4)
        assert await greedy(second, tokens=4)
        assert collector in REGISTRY._collector_to_names

    with_engines(body, order(), order())


def test_a_canary_names_whose_answer_changed() -> None:
    before: canary.Canaries = {"base": (1, 2), "tuned": (3, 4)}
    assert canary.difference(before, dict(before)) == ""
    changed = canary.difference(before, {"base": (1, 2), "tuned": (0, 0)})
    assert changed == "the canary of tuned is (0, 0) instead of (3, 4)"
