"""The real pool over real engines: the scenes of tests/gpu, rehearsed on a CPU, where sleep is a pause."""

from __future__ import annotations

import asyncio

import pytest

from tests.engines import SMALLEST, engine_processes, real, spec
from tests.gpu import link
from tests.gpu.scenes import Heard, against_the_seed, battle, hear_together, pool_of, state, switch, switch_back, table
from worker.memory import NO_LIMIT, Tier
from worker.pool.states import EngineState

pytestmark = real

MODELS = tuple(spec(m) for m in (SMALLEST, "smollm2-135m", "qwen2.5-coder-0.5b"))


def test_the_pool_unloads_the_one_used_longest_ago() -> None:
    async def go() -> None:
        stays, goes, comes = MODELS
        async with pool_of(MODELS, NO_LIMIT, on_gpu=False) as pool:
            await switch(pool, stays, goes, comes)
            assert state(pool, goes) is EngineState.COLD
            assert len(engine_processes()) == 2

    asyncio.run(go())
    assert engine_processes() == []


@pytest.mark.parametrize("tier", ["l1", pytest.param("l2", marks=pytest.mark.long)])
def test_the_pool_switches_by_sleeping_and_waking(tier: Tier) -> None:
    async def go() -> None:
        stays, goes, comes = MODELS
        async with pool_of(MODELS, NO_LIMIT, on_gpu=False, tier=tier) as pool:
            await switch(pool, stays, goes, comes)
            assert pool.slots[goes.id].view.tier == tier
            assert len(engine_processes()) == 3, "asleep, it keeps its process"
            await switch_back(pool, stays, goes)
            assert state(pool, comes) is EngineState.SLEEPING
            first = pool.slots[comes.id].engine
            await battle(pool, goes, comes)
            assert pool.slots[comes.id].engine is first

    asyncio.run(go())
    assert engine_processes() == []


def test_answers_one_after_the_other_are_not_taken_for_two_at_once() -> None:
    class Late:
        def __init__(self, wait: float) -> None:
            self.wait = wait

        async def generate(self, request_id: str, *_: object):  # type: ignore[no-untyped-def]
            from worker.engines import Piece

            await asyncio.sleep(self.wait)
            yield Piece("x", 1, 1, "stop")

    with pytest.raises(AssertionError, match="before the other began"):
        asyncio.run(hear_together([Late(0.0), Late(0.2)]))  # type: ignore[list-item]


def test_a_links_speed_is_measured_in_bytes_per_second() -> None:
    speeds = link.copy_speeds("cpu", size=8 * 2**20, times=3)
    assert speeds.to_device > 0
    assert speeds.to_host > 0


def test_figures_are_a_table_that_names_what_they_stand_beside() -> None:
    shown = table("title", against_the_seed([Heard(0.25, 60, 2.0), Heard(0.5, 30, 1.0)]))
    assert "tokens/s of each (first notes: 20-50)   30.0, 30.0" in shown
    assert "first token, ms (first notes: 200-500)  250, 500" in shown
