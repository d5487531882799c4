"""Real vLLM with a real model, in this process: streams, stops, overflows, cancels, dies, unloads."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.real import cpu_catalog, models_dir, needs_models
from worker.contract.jobs import Message, Sampling
from worker.engines import EngineOrder, Piece
from worker.engines.vllm import GPU_OVERHEAD, VllmEngine
from worker.errors import ContextOverflow, EngineDied, LoadError

pytestmark = [
    pytest.mark.real,
    needs_models,
    pytest.mark.filterwarnings("ignore"),  # torch's, transformers' and vLLM's own deprecations, at import
]

MODEL = "minimind2-small"
HELLO = (Message("user", "Say hello."),)


def spec() -> Any:
    found = cpu_catalog().get(MODEL)
    assert found is not None
    return found


def order(**more: Any) -> EngineOrder:
    return EngineOrder(spec(), int(spec().kv_bytes), **more)


def with_engine(body: Callable[[VllmEngine], Coroutine[Any, Any, Any]]) -> Any:
    async def go() -> Any:
        engine = VllmEngine(order(), models_dir())
        async with asyncio.timeout(240):
            await engine.start()
            await engine.load()
            try:
                return await body(engine)
            finally:
                await engine.unload()

    return asyncio.run(go())


def engine_processes() -> list[psutil.Process]:
    ours = psutil.Process().children(recursive=True)
    return [p for p in ours if p.status() != psutil.STATUS_ZOMBIE and "EngineCore" in "".join(p.cmdline())]


async def collect(engine: VllmEngine, messages: Any = HELLO, **sampling: Any) -> list[Piece]:
    return [p async for p in engine.generate(os.urandom(4).hex(), messages, Sampling(**sampling))]


def test_one_engine_from_load_to_unload() -> None:
    async def body(engine: VllmEngine) -> None:
        pieces = await collect(engine, max_tokens=24, temperature=0.0)
        assert len(pieces) > 3, "text comes as deltas"
        assert "".join(p.text for p in pieces).strip()
        assert pieces[-1].finish_reason in ("stop", "length")
        assert 0 < pieces[-1].completion_tokens <= 24
        assert pieces[0].prompt_tokens > 4, "the chat template is applied"

        again = await collect(engine, max_tokens=24, temperature=0.0)
        assert "".join(p.text for p in again) == "".join(p.text for p in pieces)

        many = await asyncio.gather(*(collect(engine, max_tokens=8) for _ in range(8)))
        assert all(p[-1].finish_reason for p in many)

        with pytest.raises(ContextOverflow):
            await collect(engine, (Message("user", "word " * 9000),))

        stream = engine.generate("cancelled", HELLO, Sampling(max_tokens=400))
        await anext(stream)
        await stream.aclose()
        assert engine._llm.get_num_unfinished_requests() == 0

        assert len(engine_processes()) == 1
        stream = engine.generate("doomed", HELLO, Sampling(max_tokens=400))
        await anext(stream)
        os.kill(engine_processes()[0].pid, signal.SIGKILL)
        with pytest.raises(EngineDied):
            async for _ in stream:
                pass
        assert not engine.alive

    with_engine(body)
    assert engine_processes() == []


def test_a_model_that_was_not_fetched_says_how_to_fetch_it(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"python -m worker\.models fetch"):
        asyncio.run(VllmEngine(order(), tmp_path).start())


def test_a_request_overrides_the_catalogs_sampling_and_nothing_exceeds_the_room() -> None:
    own = spec().sampling
    engine = VllmEngine(order(), models_dir())
    params = engine._params(Sampling(), room=50)
    assert (params.temperature, params.min_p, params.max_tokens) == (own.temperature, own.min_p, 50)
    params = engine._params(Sampling(temperature=0.3, top_p=0.5, max_tokens=7, seed=3, stop=("x",)), room=50)
    assert (params.temperature, params.top_p, params.max_tokens, params.seed, params.stop) == (0.3, 0.5, 7, 3, ["x"])


def test_an_engine_asks_for_its_weights_cache_and_overhead_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    from vllm.platforms import current_platform

    device = 16 * 2**30
    monkeypatch.setattr(current_platform, "get_device_total_memory", lambda: device)
    share = VllmEngine(order(), models_dir())._gpu_share()
    planned = spec().weights_bytes + spec().kv_bytes + GPU_OVERHEAD
    assert share == pytest.approx(planned / device)
    assert 2 * share < 0.9, "two such engines fit one card"
