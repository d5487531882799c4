"""A pool on a loop with engines that do what the test says, and a clock that moves when it says so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from tests.worker.conftest import Hand
from worker.contract.catalog import Catalog
from worker.memory import NO_FOOTPRINT, Footprint
from worker.pool.pool import Pool
from worker.pool.sizes import StatedSizes
from worker.pool.states import EngineState


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class FixedSizes(StatedSizes):
    """Footprints as the test says; KV bytes tell the capacity they were asked for."""

    def __init__(self, footprints: Mapping[str, Footprint]) -> None:
        self.footprints = footprints
        self.learnt: list[tuple[str, dict[str, float]]] = []

    def kv_bytes(self, spec: Any, capacity: int) -> int:
        return 1000 // capacity

    def footprint(self, spec: Any, adapters: Any, kv_bytes: int) -> Footprint:
        return self.footprints.get(spec.id, NO_FOOTPRINT)

    def learn(self, spec: Any, kv_bytes: int, held: Any, seconds: Any) -> None:
        self.learnt.append((spec.id, dict(seconds)))


def run(
    catalog: Catalog,
    hand: Hand,
    body: Callable[[Pool, Clock], Awaitable[Any]],
    *,
    preload: tuple[str, ...] = (),
    capacity: int = 2,
    **more: Any,
) -> Any:
    async def go() -> Any:
        clock = Clock()
        pool = Pool(catalog, hand, capacity=capacity, clock=clock, fail_backoff_s=30.0, **more)
        pool.start(preload)
        try:
            async with asyncio.timeout(10):
                return await body(pool, clock)
        finally:
            await pool.close()

    return asyncio.run(go())


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until it holds; the stage's time limit bounds it."""
    while not condition():
        await asyncio.sleep(0)


def state(pool: Pool, model: str) -> EngineState:
    return pool.slots[model].view.state
