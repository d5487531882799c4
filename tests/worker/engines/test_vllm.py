"""Real vLLM with a real model, in this process: streams, stops, overflows, cancels, dies, unloads."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.engines import HELLO, engine_processes, loaded, order, pieces, real, spec, with_engines
from tests.real import models_dir
from worker.contract.jobs import Message, Sampling
from worker.engines import EngineOrder
from worker.engines.arguments import gpu_share
from worker.engines.prompting import sampling_params
from worker.engines.vllm import VllmEngine
from worker.errors import ContextOverflow, EngineDied, LoadError, PromptError
from worker.models.memory import GPU_OVERHEAD

pytestmark = real


def test_one_engine_streams_stops_and_overflows() -> None:
    async def body(engine: VllmEngine) -> None:
        said = await pieces(engine, max_tokens=24, temperature=0.0)
        assert len(said) > 3, "text comes as deltas"
        assert "".join(p.text for p in said).strip()
        assert said[-1].finish_reason in ("stop", "length")
        assert 0 < said[-1].completion_tokens <= 24
        assert said[0].prompt_tokens > 4, "the chat template is applied"

        again = await pieces(engine, max_tokens=24, temperature=0.0)
        assert "".join(p.text for p in again) == "".join(p.text for p in said)

        many = await asyncio.gather(*(pieces(engine, max_tokens=8) for _ in range(8)))
        assert all(p[-1].finish_reason for p in many)

        with pytest.raises(ContextOverflow):
            await pieces(engine, (Message("user", "word " * 9000),))

        stern = replace(spec(), chat_template="{{ raise_exception('roles must alternate') }}")
        with pytest.raises(PromptError, match="roles must alternate"):
            await pieces(engine, contender=stern)

    with_engines(body)
    assert engine_processes() == []


def test_an_answer_cancelled_midway_leaves_nothing_running() -> None:
    async def body(engine: VllmEngine) -> None:
        stream = engine.generate("cancelled", HELLO, Sampling(max_tokens=400))
        await anext(stream)
        assert engine._llm.get_num_unfinished_requests() == 1
        await stream.aclose()
        assert engine._llm.get_num_unfinished_requests() == 0

        async def read() -> None:
            async for _ in engine.generate("dropped", HELLO, Sampling(max_tokens=400)):
                begun.set()

        begun = asyncio.Event()
        reader = asyncio.create_task(read())
        await begun.wait()
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
        assert engine._llm.get_num_unfinished_requests() == 0

    with_engines(body)


def test_an_engine_process_that_is_killed_ends_its_answers_and_its_engine() -> None:
    async def body(engine: VllmEngine) -> None:
        assert engine.alive
        (pid,) = engine_processes()
        stream = engine.generate("doomed", HELLO, Sampling(max_tokens=400))
        await anext(stream)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(EngineDied):
            async for _ in stream:
                pass
        assert not engine.alive

    with_engines(body)
    assert engine_processes() == []


def engines_of_vllm() -> int:
    from vllm.v1.engine.async_llm import AsyncLLM

    gc.collect()
    return sum(isinstance(o, AsyncLLM) for o in gc.get_objects())


def test_an_unloaded_engine_leaves_nothing_of_vllm_behind() -> None:
    """What is left would stay for the worker's life, one per load, and complain when the interpreter ends."""

    async def body(engine: VllmEngine) -> None:
        await pieces(engine, max_tokens=4)
        assert engines_of_vllm() == 1

    with_engines(body)
    assert engines_of_vllm() == 0


def test_an_engine_that_cannot_come_up_says_so_and_leaves_nothing_behind() -> None:
    async def go() -> None:
        async with loaded(EngineOrder(spec(), kv_bytes=2**20)):
            raise AssertionError("it loaded, with a cache too small for one answer")

    with pytest.raises(LoadError, match=f"^{spec().id}: its process ended while loading; .* log") as refused:
        asyncio.run(go())
    assert "\n" not in str(refused.value)
    assert engine_processes() == []
    assert engines_of_vllm() == 0


def test_a_load_that_is_cut_short_leaves_no_process() -> None:
    async def go() -> None:
        engine = VllmEngine(order(), models_dir())
        await engine.start()
        loading = asyncio.create_task(engine.load())
        async with asyncio.timeout(60):
            while not engine_processes():  # a process has no event for its birth
                await asyncio.sleep(0.02)
            loading.cancel()
            await asyncio.gather(loading, return_exceptions=True)
            await engine.unload()
        assert engine_processes() == []
        assert not engine.alive

    asyncio.run(go())


def test_a_model_that_was_not_fetched_says_how_to_fetch_it(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"python -m worker\.models fetch"):
        asyncio.run(VllmEngine(order(), tmp_path).start())


def test_a_model_vllm_cannot_read_is_one_line_that_says_why(tmp_path: Path) -> None:
    folder = tmp_path / spec().id
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "abacus"}')
    with pytest.raises(LoadError, match="abacus") as refused:
        asyncio.run(VllmEngine(order(), tmp_path).start())
    assert "\n" not in str(refused.value)


def test_a_request_overrides_the_catalogs_sampling_and_nothing_exceeds_the_room() -> None:
    own = spec().sampling
    params = sampling_params(spec(), Sampling(), room=50)
    assert (params.temperature, params.min_p, params.max_tokens) == (own.temperature, own.min_p, 50)
    asked = Sampling(temperature=0.3, top_p=0.5, max_tokens=7, seed=3, stop=("x",))
    params = sampling_params(spec(), asked, room=50)
    assert (params.temperature, params.top_p, params.max_tokens, params.seed, params.stop) == (0.3, 0.5, 7, 3, ["x"])


def test_an_engine_asks_for_its_weights_cache_and_overhead_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    from vllm.platforms import current_platform

    device = 16 * 2**30
    monkeypatch.setattr(current_platform, "get_device_total_memory", lambda: device)
    share = gpu_share(order(), models_dir() / spec().id, {})
    planned = spec().weights_bytes + spec().kv_bytes + GPU_OVERHEAD
    assert share == pytest.approx(planned / device)
    assert 2 * share < 0.9, "two such engines fit one card"
