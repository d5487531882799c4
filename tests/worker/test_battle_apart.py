"""Two models that do not fit together are answered in turn and shown side by side, and nothing tells the order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import redis

from tests.worker.conftest import spec
from tests.worker.stage import BATTLE, Theatre, job, on_stage, told, view
from worker.contract import channel
from worker.contract import events as ev
from worker.contract.catalog import Catalog
from worker.contract.jobs import BattleResult
from worker.pool import moves
from worker.pool.states import EngineState

CATALOG = Catalog((spec("ant"), spec("bee"), spec("cat")))
HEADS, TAILS = 0.1, 0.9


@pytest.fixture(autouse=True)
def _turn(redis_client: redis.Redis) -> None:
    channel.publish(redis_client, BATTLE, [ev.TurnStarted(1, "why?")])


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moves, "CRASH_BACKOFF_S", 0.01)


Perform = Callable[..., Any]


@pytest.fixture
def perform(redis_url: str) -> Perform:
    def go(body: Callable[[Theatre], Coroutine[Any, Any, Any]], capacity: int = 1) -> Any:
        return on_stage(lambda: Theatre(redis_url, CATALOG, capacity=capacity), body)

    return go


def shown(client: redis.Redis) -> list[ev.StoredEvent]:
    return [e for e in told(client) if isinstance(e, ev.SideStarted | ev.SideDelta | ev.SideDone | ev.SideFailed)]


@pytest.mark.parametrize("pace", [True, False])
def test_the_first_answer_is_not_shown_before_the_other_begins(
    perform: Perform, redis_client: redis.Redis, pace: bool
) -> None:
    async def body(stage: Theatre) -> BattleResult:
        stage.settings = stage.settings.model_copy(update={"pace": pace, "pace_cap_s": 0.0})
        running = asyncio.create_task(stage.run(job("ant", "bee"), coin=TAILS))
        await stage.cast.until_asked("ant")
        stage.cast.say("ant", "all of it", end=True)
        await stage.cast.until_asked("bee")
        assert stage.cast.made["ant"][-1].alive is False
        assert shown(redis_client) == []
        stage.cast.say("bee", "some ")
        await stage.told(ev.SideStarted, count=2)
        stage.cast.say("bee", "more", end=True)
        result = await running
        assert stage.started == [1]
        assert stage.leases == 0
        return result

    result: BattleResult = perform(body)
    assert (result.sides.a.text, result.sides.b.text) == ("all of it", "some more")
    turn = view(redis_client).turns[0]
    assert (turn.a.text, turn.b.text) == ("all of it", "some more")
    starts = [i for i, e in enumerate(shown(redis_client)) if isinstance(e, ev.SideStarted)]
    assert starts == [0, 2]  # both in the same moment: each start is followed by that side's first text


@pytest.mark.parametrize(("coin", "first", "second"), [(TAILS, "ant", "bee"), (HEADS, "bee", "ant")])
def test_a_coin_decides_who_is_answered_first(perform: Perform, coin: float, first: str, second: str) -> None:
    async def body(stage: Theatre) -> None:
        running = asyncio.create_task(stage.run(job("ant", "bee"), coin=coin))
        await stage.cast.until_asked(first)
        assert second not in stage.cast.made
        stage.cast.speak_up()
        await running

    perform(body)


@pytest.mark.parametrize("coin", [TAILS, HEADS])
def test_the_model_in_memory_is_answered_first_so_that_no_switch_is_wasted(perform: Perform, coin: float) -> None:
    async def body(stage: Theatre) -> None:
        async with stage.pool.lease("before", ["bee"]):
            pass
        stage.cast.speak_up()
        await stage.run(job("ant", "bee"), coin=coin)
        assert {m: len(made) for m, made in stage.cast.made.items()} == {"ant": 1, "bee": 1}

    perform(body)


def test_sides_of_many_battles_share_an_engine_while_it_is_there(perform: Perform) -> None:
    async def body(stage: Theatre) -> None:
        async with stage.pool.lease("before", ["ant"]):
            battles = [asyncio.create_task(stage.run(job("ant", "bee", battle=f"battle-0000010{n}"))) for n in range(4)]
            await stage.cast.until_asked("ant", 4)
        stage.cast.speak_up()
        results = await asyncio.gather(*battles)
        assert all(r.sides.b.text for r in results)
        assert {m: len(made) for m, made in stage.cast.made.items()} == {"ant": 1, "bee": 1}

    perform(body)


def test_when_the_second_engine_dies_unseen_only_its_side_is_answered_anew(
    perform: Perform, redis_client: redis.Redis
) -> None:
    async def body(stage: Theatre) -> BattleResult:
        running = asyncio.create_task(stage.run(job("ant", "bee"), coin=TAILS))
        await stage.cast.until_asked("ant")
        stage.cast.say("ant", "stands", end=True)
        (await stage.cast.until_asked("bee")).die()
        await stage.cast.until_asked("bee", 2)
        stage.cast.say("bee", "at last", end=True)
        result = await running
        assert len(stage.cast.made["ant"]) == 1
        return result

    result: BattleResult = perform(body)
    assert (result.attempt, result.sides.a.text, result.sides.b.text) == (1, "stands", "at last")
    assert not any(isinstance(e, ev.BattleRestarted) for e in told(redis_client))


def test_when_the_first_engine_dies_the_other_side_keeps_its_place_in_line(perform: Perform) -> None:
    async def body(stage: Theatre) -> BattleResult:
        running = asyncio.create_task(stage.run(job("ant", "bee"), coin=TAILS))
        engine = await stage.cast.until_asked("ant")
        place = next(w for w in stage.pool.queue() if w.job.endswith(".b"))
        engine.die()
        while not any(w.job.endswith(".a") for w in stage.pool.queue()):
            await asyncio.sleep(0)
        assert place in stage.pool.queue()
        stage.cast.speak_up()
        return await running

    assert perform(body).attempt == 1


def test_a_capacity_lowered_while_a_pair_waits_has_it_answered_in_turn(perform: Perform) -> None:
    async def body(stage: Theatre) -> BattleResult:
        async with stage.pool.lease("before", ["ant", "cat"]):
            running = asyncio.create_task(stage.run(job("ant", "bee")))
            while not stage.pool.waiting:
                await asyncio.sleep(0)
            stage.pool.set_capacity(1)
        await stage.cast.until_asked("ant")
        stage.cast.speak_up()
        return await running

    result: BattleResult = perform(body, capacity=2)
    assert (result.sides.a.finish_reason, result.sides.b.finish_reason) == ("stop", "stop")


@pytest.mark.parametrize("after_first", [False, True])
def test_a_cancel_between_the_sides_leaves_nothing_behind(
    perform: Perform, redis_client: redis.Redis, after_first: bool
) -> None:
    async def body(stage: Theatre) -> BattleResult:
        running = asyncio.create_task(stage.run(job("ant", "bee"), coin=TAILS))
        await stage.cast.until_asked("ant")
        if after_first:
            stage.cast.say("ant", "all of it", end=True)
            await stage.cast.until_asked("bee")
        stage.stop.ask("user")
        result = await running
        assert stage.pool.waiting == stage.leases == 0
        return result

    result: BattleResult = perform(body)
    turn = view(redis_client).turns[0]
    assert turn.a.text == result.sides.a.text == ("all of it" if after_first else "")
    assert (turn.a.status, turn.b.finish_reason) == ("done", "cancelled")


def test_the_deadline_holds_for_both_sides_together(perform: Perform) -> None:
    async def body(stage: Theatre) -> BattleResult:
        running = asyncio.create_task(stage.run(job("ant", "bee", deadline_s=0.3), coin=TAILS))
        await stage.cast.until_asked("ant")
        stage.cast.say("ant", "in time", end=True)
        return await running

    result: BattleResult = perform(body)
    assert result.sides.a.finish_reason == "stop"
    assert result.sides.b.error is not None
    assert result.sides.b.error.code == "deadline_exceeded"


def test_people_are_told_of_the_side_that_comes_last_only(perform: Perform, redis_client: redis.Redis) -> None:
    async def body(stage: Theatre) -> None:
        async with stage.pool.lease("before", ["cat"]):
            running = asyncio.create_task(stage.run(job("ant", "bee"), coin=TAILS))
            await stage.told(ev.BattleQueued)
        await stage.cast.until_asked("ant")
        stage.cast.speak_up()
        await running
        assert stage.pool.slots["cat"].view.state is EngineState.COLD

    perform(body)
    positions = [e.position for e in told(redis_client) if isinstance(e, ev.BattleQueued)]
    assert positions[0] == 2
