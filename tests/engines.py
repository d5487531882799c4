"""Real vLLM engines for tests: brought up on one loop, asked, and always taken down again."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from tests.real import cpu_catalog, models_dir, needs_models
from worker.contract.catalog import ModelSpec
from worker.contract.jobs import Message, Sampling
from worker.engines import EngineOrder, Piece
from worker.engines.vllm import VllmEngine

real = [
    pytest.mark.real,
    needs_models,
    pytest.mark.filterwarnings("ignore"),  # torch's, transformers' and vLLM's own deprecations, at import
]

SMALLEST = "minimind2-small"
HELLO = (Message("user", "Say hello."),)
LIMIT_S = 300


def spec(model: str = SMALLEST) -> ModelSpec:
    found = cpu_catalog().get(model)
    assert found is not None
    return found


def order(of: ModelSpec | None = None, **more: Any) -> EngineOrder:
    of = of or spec()
    return EngineOrder(of, int(of.kv_bytes), **more)


@asynccontextmanager
async def loaded(of: EngineOrder) -> AsyncIterator[VllmEngine]:
    engine = VllmEngine(of, models_dir())
    try:
        async with asyncio.timeout(LIMIT_S):
            await engine.start()
            await engine.load()
        yield engine
    finally:
        await engine.unload()


def with_engines(body: Callable[..., Coroutine[Any, Any, Any]], *orders: EngineOrder) -> Any:
    """Run ``body`` with one engine for each order, loaded one after the other; one default order when none is given."""

    async def go() -> Any:
        async with AsyncExitStack() as stack:
            engines = [await stack.enter_async_context(loaded(o)) for o in orders or (order(),)]
            async with asyncio.timeout(LIMIT_S):
                return await body(*engines)

    return asyncio.run(go())


async def pieces(
    engine: VllmEngine, messages: Sequence[Message] = HELLO, contender: ModelSpec | None = None, **sampling: Any
) -> list[Piece]:
    stream = engine.generate(os.urandom(8).hex(), messages, Sampling(**sampling), contender)
    return [p async for p in stream]


async def greedy(engine: VllmEngine, contender: ModelSpec | None = None, tokens: int = 24) -> str:
    """The one answer that unchanged weights give."""
    said = await pieces(engine, contender=contender, max_tokens=tokens, temperature=0.0)
    return "".join(p.text for p in said)


def engine_processes() -> list[int]:
    """Pids of the engine processes this one has started that have not ended."""
    return [child.pid for child in multiprocessing.active_children() if child.pid is not None]
