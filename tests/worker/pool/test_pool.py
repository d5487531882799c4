"""The pool on an asyncio loop with engines that load when the test says so."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
from msgspec.structs import replace

from tests.worker.conftest import Hand, spec
from tests.worker.pool.stage import Clock, FixedSizes, run, state, until
from worker.contract.catalog import Catalog, Lora
from worker.errors import AdminError, ModelUnavailable, NotTogether, Overloaded
from worker.memory import Bytes, Footprint
from worker.pool.desk import Desk
from worker.pool.pool import Pool
from worker.pool.progress import Loading, Queued
from worker.pool.states import Costs, EngineState, Rules


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


def test_an_engine_that_dies_again_and_again_rests_longer_each_time(catalog: Catalog, hand: Hand) -> None:
    async def body(pool: Pool, clock: Clock) -> None:
        rests = []
        for _ in range(3):
            async with pool.lease("1", ["ant", "bee"]):
                hand.last("ant").alive = False
            await until(lambda: state(pool, "ant") is EngineState.FAILED)
            rests.append(pool.slots["ant"].view.failed_until - clock.now)
            clock.now = pool.slots["ant"].view.failed_until
        assert rests == [1.0, 4.0, 16.0]

    run(catalog, hand, body)


def test_an_answer_to_the_end_makes_up_for_a_death(catalog: Catalog, hand: Hand) -> None:
    async def body(pool: Pool, clock: Clock) -> None:
        async with pool.lease("1", ["ant", "bee"]):
            hand.last("ant").alive = False
        await until(lambda: state(pool, "ant") is EngineState.FAILED)
        clock.now = 1.0
        async with pool.lease("2", ["ant", "bee"]):
            pass
        assert pool.slots["ant"].crashes == 0

    run(catalog, hand, body)


def test_with_room_for_one_a_pair_is_leased_in_turn_and_the_engine_gets_the_memory(
    catalog: Catalog, hand: Hand
) -> None:
    async def body(pool: Pool, clock: Clock) -> None:
        with pytest.raises(NotTogether):
            async with pool.lease("1", ["ant", "bee"]):
                pass
        for model in ("ant", "bee"):
            async with pool.lease(f"1.{model}", [model]) as lease:
                assert list(lease.contenders) == [model]
        assert hand.last("ant").unloads == 1
        assert hand.orders["bee"][-1].kv_bytes == 1000

    run(catalog, hand, body, capacity=1, sizes=FixedSizes({}))


def test_a_pair_that_does_not_fit_in_memory_is_leased_in_turn(catalog: Catalog, hand: Hand) -> None:
    sizes = FixedSizes({m: Footprint(Bytes(6, 0)) for m in ("ant", "bee")})

    async def body(pool: Pool, clock: Clock) -> None:
        with pytest.raises(NotTogether):
            async with pool.lease("1", ["ant", "bee"]):
                pass
        async with pool.lease("2", ["ant", "cat"]):
            assert pool.state().reserved == Bytes(6, 0)

    run(catalog, hand, body, sizes=sizes, ledgers=Bytes(10, 0))


def test_capacity_lowered_under_a_waiting_pair_tells_it_to_take_turns(catalog: Catalog, hand: Hand) -> None:
    hand.auto = False

    async def body(pool: Pool, clock: Clock) -> None:
        waiting = asyncio.create_task(pool.lease("1", ["ant", "bee"]).__aenter__())
        await until(lambda: "ant" in hand.made)
        pool.set_capacity(1)
        with pytest.raises(NotTogether):
            await waiting

    run(catalog, hand, body)


def test_an_evicted_engine_sleeps_and_wakes_with_its_canary(catalog: Catalog, hand: Hand) -> None:
    sizes = FixedSizes({m: Footprint(Bytes(5, 1), l1=Bytes(1, 4)) for m in catalog.ids})

    async def body(pool: Pool, clock: Clock) -> None:
        async with pool.lease("1", ["ant", "bee"]):
            pass
        clock.now = 5.0
        async with pool.lease("2", ["bee", "cat"]):
            assert state(pool, "ant") is EngineState.SLEEPING
            assert pool.state().reserved == Bytes(11, 6)
        clock.now = 9.0
        async with pool.lease("3", ["ant", "cat"]):
            assert len(hand.made["ant"]) == 1
            assert hand.last("ant").verified == 1
        assert hand.orders["ant"][0].may_sleep

    run(catalog, hand, body, sizes=sizes, rules=Rules(may_sleep=True), ledgers=Bytes(11, 20))


def test_an_engine_that_does_not_wake_is_ended_and_loaded_anew(catalog: Catalog, hand: Hand) -> None:
    sizes = FixedSizes({m: Footprint(Bytes(5, 1), l1=Bytes(1, 4)) for m in catalog.ids})

    async def body(pool: Pool, clock: Clock) -> None:
        async with pool.lease("1", ["ant", "bee"]):
            pass
        hand.last("ant").fail_wake = "no memory"
        clock.now = 5.0
        async with pool.lease("2", ["bee", "cat"]):
            pass
        waiting = asyncio.create_task(pool.lease("3", ["ant", "cat"]).__aenter__())
        await until(lambda: state(pool, "ant") is EngineState.FAILED)
        assert (hand.made["ant"][0].unloads, pool.slots["ant"].view.reserved) == (1, Bytes())
        clock.now = 7.0
        lease = await waiting
        assert lease.contenders["ant"].engine is hand.made["ant"][1]

    run(catalog, hand, body, sizes=sizes, rules=Rules(may_sleep=True))


def test_costs_are_learnt_from_the_moves_themselves(catalog: Catalog, hand: Hand) -> None:
    hand.auto = False
    sizes = FixedSizes({})

    async def body(pool: Pool, clock: Clock) -> None:
        waiting = asyncio.create_task(pool.lease("1", ["ant"]).__aenter__())
        await until(lambda: "ant" in hand.made)
        clock.now = 7.0
        hand.last("ant").loaded.set()
        await waiting
        assert pool.slots["ant"].view.costs.load_s == 7.0
        assert ("ant", {"load_s": 7.0}) in sizes.learnt

    run(catalog, hand, body, sizes=sizes)


def test_an_adapter_and_its_base_share_one_engine(hand: Hand) -> None:
    base, adapter = spec("base"), replace(spec("tuned"), lora=Lora("base", path="x"))
    catalog = Catalog((base, adapter, spec("cat")))

    async def body(pool: Pool, clock: Clock) -> None:
        async with pool.lease("1", ["base", "tuned"]) as lease:
            assert lease.contenders["base"].engine is lease.contenders["tuned"].engine
            assert lease.contenders["tuned"].spec is adapter
            assert pool.slots["base"].view.leases == 1
        assert list(pool.slots) == ["base", "cat"]
        assert hand.orders["base"][0].adapters == (adapter,)

    run(catalog, hand, body, capacity=1)


def test_a_battle_past_the_drain_limit_is_told_to_end(catalog: Catalog, hand: Hand) -> None:
    async def body(pool: Pool, clock: Clock) -> None:
        async with pool.lease("long", ["ant", "bee"]) as lease:
            waiting = asyncio.create_task(pool.lease("1", ["cat", "dog"]).__aenter__())
            await until(lambda: pool.waiting == 1)
            clock.now = 100.0
            pool.change(pool.slots["dog"])
            assert state(pool, "ant") is EngineState.DRAINING
            assert not lease.preempted.is_set()
            clock.now = 160.0
            pool.change(pool.slots["dog"])
            assert lease.preempted.is_set()
        await waiting

    run(catalog, hand, body, rules=Rules(drain_limit_s=60.0))


def test_a_newcomer_whose_wait_cannot_be_bounded_is_refused_at_once(catalog: Catalog, hand: Hand) -> None:
    hand.auto = False

    async def body(pool: Pool, clock: Clock) -> None:
        for model in catalog.ids:
            pool.change(pool.slots[model], costs=Costs(load_s=60.0))
        first = asyncio.create_task(pool.lease("1", ["ant", "bee"]).__aenter__())
        second = asyncio.create_task(pool.lease("2", ["cat", "dog"]).__aenter__())
        await until(lambda: pool.waiting == 2)
        with pytest.raises(Overloaded) as refused:
            async with pool.lease("3", ["ant", "cat"]):
                pass
        assert refused.value.retry_after_s >= 1.0
        for task in (first, second):
            task.cancel()
        await asyncio.gather(first, second, return_exceptions=True)

    run(catalog, hand, body)


def test_a_reloaded_catalog_adds_changes_and_removes_without_touching_running_battles(
    catalog: Catalog, hand: Hand
) -> None:
    async def body(pool: Pool, clock: Clock) -> None:
        changed = replace(catalog.entries[0], max_num_seqs=4)
        async with pool.lease("1", ["ant", "bee"]):
            pool.set_catalog(Catalog((changed, *catalog.entries[2:], spec("eel"))))
            assert state(pool, "ant") is EngineState.DRAINING
            assert pool.slots["ant"].spec is catalog.entries[0]
            with pytest.raises(ModelUnavailable, match="bee"):
                async with pool.lease("2", ["bee", "cat"]):
                    pass
        await until(lambda: "bee" not in pool.slots and pool.slots["ant"].away)
        async with pool.lease("3", ["ant", "eel"]):
            assert hand.orders["ant"][-1].spec is changed
            assert pool.slots["ant"].view.seats == 4

    run(catalog, hand, body)


def test_who_waits_or_wishes_for_what_a_reload_takes_away_is_told_so(hand: Hand) -> None:
    hand.auto = False
    tuned = replace(spec("tuned"), lora=Lora("ant", path="x"))
    catalog = Catalog((spec("ant"), tuned, spec("bee"), spec("cat")))

    async def body(pool: Pool, clock: Clock) -> None:
        adapter = asyncio.create_task(pool.lease("1", ["tuned", "bee"]).__aenter__())
        engine = asyncio.create_task(pool.lease("2", ["cat", "bee"]).__aenter__())
        await until(lambda: pool.waiting == 2)
        asked = Desk(pool).load("cat")
        pool.set_catalog(Catalog((spec("ant"), spec("bee"))))
        for task, model in ((adapter, "tuned"), (engine, "cat")):
            with pytest.raises(ModelUnavailable, match=model):
                await task
        assert {o.id: o.state for o in pool.operations.list()}[asked.id] == "failed"
        with pytest.raises(AdminError, match="no model 'cat'"):
            Desk(pool).load("cat")

    run(catalog, hand, body)


def test_a_job_that_lost_its_engines_keeps_its_place_and_is_not_refused(catalog: Catalog, hand: Hand) -> None:
    hand.auto = False

    async def body(pool: Pool, clock: Clock) -> None:
        for model in catalog.ids:
            pool.change(pool.slots[model], costs=Costs(load_s=60.0))
        clock.now = 50.0
        others = [
            asyncio.create_task(pool.lease(n, pair).__aenter__())
            for n, pair in (("1", ["ant", "bee"]), ("2", ["cat", "dog"]))
        ]
        await until(lambda: pool.waiting == 2)
        lost = asyncio.create_task(pool.lease("3", ["ant", "cat"], since=45.0).__aenter__())
        await until(lambda: pool.waiting == 3)
        assert min(pool.queue(), key=lambda w: w.since).job == "3"
        for task in (*others, lost):
            task.cancel()
        await asyncio.gather(*others, lost, return_exceptions=True)

    run(catalog, hand, body)
