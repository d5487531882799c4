"""What the GPU tests play through, on whatever vLLM runs: the same scenes are rehearsed on a CPU."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

from msgspec import structs

from tests.real import models_dir
from worker.contract.catalog import Catalog, ModelSpec
from worker.contract.jobs import Message, Sampling
from worker.engines import engine_factory
from worker.engines.vllm import VllmEngine
from worker.memory import Bytes, Footprint, Tier
from worker.models.facts import facts_of
from worker.models.memory import footprint
from worker.pool.leases import Contender
from worker.pool.pool import Pool
from worker.pool.sizes import StatedSizes
from worker.pool.states import EngineState, Rules

LIMIT_S = 900
PROMPT = (Message("user", "Write a short story about a lighthouse."),)


@dataclass(frozen=True, slots=True)
class Heard:
    """One answer as it was heard. Seconds."""

    first_s: float
    tokens: int
    seconds: float

    @property
    def tokens_per_s(self) -> float:
        return self.tokens / self.seconds


async def hear(voice: VllmEngine | Contender, tokens: int = 128, begun: asyncio.Event | None = None) -> Heard:
    """Listen to one answer; ``begun`` is set at its first token."""
    at = time.perf_counter()
    first = 0.0
    count = 0
    async for piece in voice.generate(os.urandom(8).hex(), PROMPT, Sampling(max_tokens=tokens)):
        first = first or time.perf_counter() - at
        count = piece.completion_tokens
        if begun is not None:
            begun.set()
    return Heard(first, count, time.perf_counter() - at)


async def hear_together(voices: Sequence[VllmEngine | Contender], tokens: int = 128) -> list[Heard]:
    """All at once; fails unless each has begun before any has ended."""
    begun = [asyncio.Event() for _ in voices]
    tasks = [asyncio.create_task(hear(v, tokens, b)) for v, b in zip(voices, begun, strict=True)]
    all_begun = asyncio.gather(*(b.wait() for b in begun))
    await asyncio.wait([all_begun, *tasks], return_when=asyncio.FIRST_COMPLETED)
    assert all_begun.done(), "one had ended before the other began"
    return await asyncio.gather(*tasks)


class Sizes(StatedSizes):
    """The planner's estimates, without its memory of earlier measurements; ``tier`` is the only one offered."""

    def __init__(self, on_gpu: bool, tier: Tier | None) -> None:
        self._on_gpu = on_gpu
        self._tier = tier

    def footprint(self, spec: ModelSpec, adapters: Any, kv_bytes: int) -> Footprint:
        found = footprint(spec, facts_of(spec, models_dir()), on_gpu=self._on_gpu, kv_bytes=kv_bytes)
        return replace(found, l1=found.l1 if self._tier == "l1" else None, l2=found.l2 if self._tier == "l2" else None)


@asynccontextmanager
async def pool_of(
    models: Sequence[ModelSpec], ledgers: Bytes, *, on_gpu: bool, tier: Tier | None = None
) -> AsyncIterator[Pool]:
    """A real pool with two places for ``models``; who must go sleeps as deep as ``tier``, or ends."""
    pool = Pool(
        Catalog(tuple(with_sleep(m, tier or "off") for m in models)),
        engine_factory(models_dir()),
        capacity=2,
        ledgers=ledgers,
        rules=Rules(may_sleep=tier is not None, max_wait_s=LIMIT_S),
        sizes=Sizes(on_gpu, tier),
    )
    pool.start()
    try:
        async with asyncio.timeout(LIMIT_S):
            yield pool
    finally:
        await pool.close()


def with_sleep(spec: ModelSpec, sleep: Literal["off", "l1", "l2"]) -> ModelSpec:
    return structs.replace(spec, sleep=sleep)


def state(pool: Pool, model: ModelSpec) -> EngineState:
    return pool.slots[model.id].view.state


async def battle(pool: Pool, *models: ModelSpec, tokens: int = 24) -> list[Heard]:
    """Lease both, let both answer at once, give them back."""
    async with pool.lease(os.urandom(8).hex(), [m.id for m in models]) as lease:
        return await hear_together([lease.contenders[m.id] for m in models], tokens)


async def switch(pool: Pool, stays: ModelSpec, goes: ModelSpec, comes: ModelSpec) -> None:
    """Fill both places, use one of them once more, then ask for a third: the one used longest ago must go."""
    await battle(pool, stays, goes)
    kept = pool.slots[stays.id].engine
    async with pool.lease("again", [stays.id]) as lease:
        await hear(lease.contenders[stays.id], 24)
    await battle(pool, stays, comes)
    assert pool.slots[stays.id].engine is kept, "the one used last was left where it is"
    assert state(pool, comes) is EngineState.READY


async def switch_back(pool: Pool, stays: ModelSpec, sleeper: ModelSpec) -> float:
    """Ask for the one that sleeps; returns the seconds until it could answer. It is woken, not loaded again."""
    engine = pool.slots[sleeper.id].engine
    assert engine is not None
    assert state(pool, sleeper) is EngineState.SLEEPING
    began = time.perf_counter()
    async with pool.lease("back", [stays.id, sleeper.id]) as lease:
        took = time.perf_counter() - began
        assert lease.contenders[sleeper.id].engine is engine
        await hear(lease.contenders[sleeper.id], 16)
    return took


def table(title: str, rows: Sequence[tuple[str, str]]) -> str:
    """Figures for people; nothing depends on them."""
    width = max(len(name) for name, _ in rows)
    return "\n".join(["", title, *(f"  {name:<{width}}  {value}" for name, value in rows)])


def against_the_seed(heard: Sequence[Heard]) -> list[tuple[str, str]]:
    """Beside what the project's first notes promised of a T4: 20-50 tokens/s, first token in 200-500 ms."""
    return [
        ("tokens/s of each (first notes: 20-50)", ", ".join(f"{h.tokens_per_s:.1f}" for h in heard)),
        ("first token, ms (first notes: 200-500)", ", ".join(f"{h.first_s * 1000:.0f}" for h in heard)),
    ]
