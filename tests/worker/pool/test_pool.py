"""The pool on an asyncio loop with engines that load when the test says so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.worker.conftest import Hand
from worker.contract.catalog import Catalog
from worker.errors import AdminError, ModelUnavailable
from worker.pool.desk import Desk
from worker.pool.pool import Pool
from worker.pool.progress import Loading, Queued
from worker.pool.states import Costs, EngineState


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def run(
    catalog: Catalog, hand: Hand, body: Callable[[Pool, Clock], Awaitable[Any]], *, preload: tuple[str, ...] = ()
) -> Any:
    async def go() -> Any:
        clock = Clock()
        pool = Pool(catalog, hand, capacity=2, clock=clock, fail_backoff_s=30.0)
        pool.start(preload)
        try:
            async with asyncio.timeout(10):
                return await body(pool, clock)
        finally:
            await pool.close()

    return asyncio.run(go())


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until it holds; the test's timeout bounds it."""
    while not condition():
        await asyncio.sleep(0)


def state(pool: Pool, model: str) -> EngineState:
    return pool.slots[model].view.state


def test_a_lease_loads_both_models_and_holds_them(catalog: Catalog, hand: Hand) -> None:
    async def body(pool: Pool, clock: Clock) -> None:
        async with pool.lease("1", ["ant", "bee"]) as lease:
            assert set(lease.contenders) == {"ant", "bee"}
            assert [pool.slots[m].view.leases for m in ("ant", "bee")] == [1, 1]
        assert [pool.slots[m].view.leases for m in ("ant", "bee")] == [0, 0]

    run(catalog, hand, body)


def test_a_third_model_evicts_the_least_recently_used(catalog: Catalog, hand: Hand) -> None:
    async def body(pool: Pool, clock: Clock) -> None:
        async with pool.lease("1", ["ant", "bee"]):
            clock.now = 1.0
        clock.now = 2.0
        async with pool.lease("2", ["ant", "cat"]):
            assert state(pool, "bee") is EngineState.COLD
            assert hand.last("bee").unloads == 1
        assert len(hand.made["ant"]) == 1

    run(catalog, hand, body)


def test_two_waiters_for_one_pair_share_one_load(catalog: Catalog, hand: Hand) -> None:
    async def body(pool: Pool, clock: Clock) -> None:
        async with AsyncExitStack() as stack:
            await asyncio.gather(*(stack.enter_async_context(pool.lease(str(n), ["ant", "bee"])) for n in range(5)))
            assert pool.slots["ant"].view.leases == 5
        assert len(hand.made["ant"]) == len(hand.made["bee"]) == 1

    run(catalog, hand, body)


def test_crossing_pairs_never_deadlock(catalog: Catalog, hand: Hand) -> None:
    async def body(pool: Pool, clock: Clock) -> None:
        async def battle(n: int, pair: tuple[str, str]) -> None:
            async with pool.lease(str(n), pair):
                clock.now += 1.0
                await asyncio.sleep(0)

        pairs = [("ant", "bee"), ("bee", "cat"), ("cat", "dog"), ("dog", "ant"), ("ant", "cat"), ("bee", "dog")]
        await asyncio.gather(*(battle(n, pairs[n % 6]) for n in range(30)))
        assert sum(s.view.leases for s in pool.slots.values()) == 0

    run(catalog, hand, body)


def test_a_cancelled_waiter_leaves_no_trace(catalog: Catalog, hand: Hand) -> None:
    hand.auto = False

    async def body(pool: Pool, clock: Clock) -> None:
        task = asyncio.create_task(pool.lease("1", ["ant", "bee"]).__aenter__())
        await until(lambda: "ant" in hand.made)
        assert pool.waiting == 1
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert pool.waiting == 0
        hand.last("ant").loaded.set()
        await until(lambda: state(pool, "ant") is EngineState.READY)
        assert pool.slots["ant"].view.leases == 0

    run(catalog, hand, body)


def test_a_model_that_cannot_load_refuses_its_battles_and_rests(catalog: Catalog, hand: Hand) -> None:
    hand.fail["bee"] = "no such file"

    async def body(pool: Pool, clock: Clock) -> None:
        with pytest.raises(ModelUnavailable, match="no such file"):
            async with pool.lease("1", ["ant", "bee"]):
                pass
        tries = len(hand.made["bee"])
        with pytest.raises(ModelUnavailable):
            async with pool.lease("2", ["cat", "bee"]):
                pass
        assert len(hand.made["bee"]) == tries == 1
        clock.now = 31.0
        hand.fail.clear()
        async with pool.lease("3", ["ant", "bee"]):
            pass
        assert len(hand.made["bee"]) == 2

    run(catalog, hand, body)


def test_a_dead_engine_is_replaced_before_the_next_lease(catalog: Catalog, hand: Hand) -> None:
    async def body(pool: Pool, clock: Clock) -> None:
        async with pool.lease("1", ["ant", "bee"]):
            hand.last("ant").alive = False
        await until(lambda: state(pool, "ant") is EngineState.FAILED)
        assert pool.slots["ant"].view.why == "its process died"
        clock.now = 1.0
        async with pool.lease("2", ["ant", "bee"]) as lease:
            assert lease.contenders["ant"].engine.alive
        assert len(hand.made["ant"]) == 2

    run(catalog, hand, body)


def test_progress_tells_queue_then_loading_and_never_goes_back(catalog: Catalog, hand: Hand) -> None:
    hand.auto = False

    async def body(pool: Pool, clock: Clock) -> None:
        for model in ("ant", "bee"):
            pool.change(pool.slots[model], costs=Costs(load_s=10.0))
        task = asyncio.create_task(pool.lease("1", ["ant", "bee"]).__aenter__())
        await until(lambda: "ant" in hand.made)
        assert isinstance(pool.progress("1"), Queued)
        told = []
        for model in ("ant", "bee"):
            await until(lambda model=model: model in hand.made)  # type: ignore[misc]
            for _ in range(5):
                clock.now += 2.0
                told.append(pool.progress("1"))
            hand.last(model).loaded.set()
        assert all(isinstance(t, Loading) for t in told)
        fractions = [t.fraction for t in told if isinstance(t, Loading)]
        assert fractions == sorted(fractions)
        assert fractions[-1] >= 0.9
        await task
        assert pool.progress("1") is None

    run(catalog, hand, body)


def test_preloaded_models_are_ready_before_anybody_asks(catalog: Catalog, hand: Hand) -> None:
    async def body(pool: Pool, clock: Clock) -> None:
        assert not pool.settled
        await until(lambda: pool.settled)
        assert state(pool, "cat") is state(pool, "dog") is EngineState.READY

    run(catalog, hand, body, preload=("cat", "dog"))


def test_operators_load_and_unload_and_are_told_why_not(catalog: Catalog, hand: Hand) -> None:
    async def body(pool: Pool, clock: Clock) -> None:
        desk = Desk(pool)
        assert desk.load("cat").detail == "cat will load"
        await until(lambda: state(pool, "cat") is EngineState.READY and pool.settled)
        with pytest.raises(AdminError, match="no model 'fox' in the catalog; there are: ant, bee, cat, dog"):
            desk.load("fox")
        async with pool.lease("1", ["cat", "dog"]):
            assert desk.unload("cat").detail == "cat unloads when its battle has ended"
            assert state(pool, "cat") is EngineState.DRAINING
        await until(lambda: state(pool, "cat") is EngineState.COLD)

    run(catalog, hand, body)


def test_a_closing_pool_refuses_who_waits_and_unloads_everything(catalog: Catalog, hand: Hand) -> None:
    async def body(pool: Pool, clock: Clock) -> None:
        async with pool.lease("1", ["ant", "bee"]):
            pass
        waiting = asyncio.create_task(pool.lease("2", ["ant", "unknown"]).__aenter__())
        with pytest.raises(ModelUnavailable):
            await waiting

    run(catalog, hand, body)
    assert hand.last("ant").unloads == hand.last("bee").unloads == 1
