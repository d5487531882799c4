"""A battle others are waiting for: preempted, refused for want of room, cancelled within a tick."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest
import redis

from tests.worker.conftest import spec
from tests.worker.stage import BATTLE, Theatre, job, on_stage, told, view
from worker.contract import channel
from worker.contract import events as ev
from worker.contract.catalog import Catalog
from worker.contract.jobs import BattleResult
from worker.pool.states import Rules

CATALOG = Catalog((spec("ant"), spec("bee"), spec("cat"), spec("dog")))
HASTY = Rules(max_wait_s=0.3, drain_limit_s=0.1, tick_s=0.02)
"""Others wait for less than a second before they press, and press for a tenth of a second before they prevail."""


@pytest.fixture(autouse=True)
def _turn(redis_client: redis.Redis) -> None:
    channel.publish(redis_client, BATTLE, [ev.TurnStarted(1, "why?")])


Perform = Callable[..., Any]


@pytest.fixture
def perform(redis_url: str) -> Perform:
    def go(body: Callable[[Theatre], Coroutine[Any, Any, Any]], **pool: Any) -> Any:
        return on_stage(lambda: Theatre(redis_url, CATALOG, **pool), body)

    return go


def test_a_battle_that_holds_others_up_too_long_is_ended_and_says_why(
    perform: Perform, redis_client: redis.Redis
) -> None:
    async def body(stage: Theatre) -> BattleResult:
        running = asyncio.create_task(stage.run(job("ant", "bee")))
        await stage.cast.until_asked("bee")
        stage.cast.say("ant", "all of it", end=True)
        stage.cast.say("bee", "half of ")
        await stage.first_text()
        async with stage.pool.lease("others", ["cat", "dog"]):
            return await running

    result: BattleResult = perform(body, rules=HASTY)
    assert (result.sides.a.text, result.sides.a.finish_reason) == ("all of it", "stop")
    assert result.sides.b.error is not None
    assert (result.sides.b.error.code, result.sides.b.error.retryable) == ("preempted", True)
    turn = view(redis_client).turns[0]
    assert (turn.a.text, turn.a.status) == ("all of it", "done")
    assert (turn.b.text, turn.b.status) == (result.sides.b.text, "failed")


def test_a_battle_that_has_shown_nothing_goes_back_to_waiting_silently(
    perform: Perform, redis_client: redis.Redis
) -> None:
    async def body(stage: Theatre) -> BattleResult:
        async with stage.pool.lease("before", ["cat", "dog"]):
            pass  # so that the pool knows what a switch costs
        running = asyncio.create_task(stage.run(job("ant", "bee")))
        await stage.cast.until_asked("bee")
        async with stage.pool.lease("others", ["cat", "dog"]):
            while not stage.pool.waiting:
                await asyncio.sleep(0)
        stage.cast.fluent = True
        return await running

    result: BattleResult = perform(body, rules=HASTY)
    assert (result.attempt, result.sides.a.finish_reason, result.sides.b.finish_reason) == (1, "stop", "stop")
    assert not any(isinstance(e, ev.BattleRestarted | ev.SideFailed) for e in told(redis_client))


def test_preempted_too_often_is_given_up(perform: Perform) -> None:
    async def body(stage: Theatre) -> BattleResult:
        stage.settings = stage.settings.model_copy(update={"max_attempts": 1})
        running = asyncio.create_task(stage.run(job("ant", "bee")))
        await stage.cast.until_asked("bee")
        async with stage.pool.lease("others", ["cat", "dog"]):
            return await running

    result: BattleResult = perform(body, rules=HASTY)
    assert [s.error.code for s in (result.sides.a, result.sides.b) if s.error] == ["preempted", "preempted"]


def test_a_battle_the_line_has_no_room_for_is_told_when_to_come_back(
    perform: Perform, redis_client: redis.Redis
) -> None:
    async def body(stage: Theatre) -> BattleResult:
        async with stage.pool.lease("before", ["ant", "bee"]):
            first = asyncio.create_task(stage.run(job("cat", "dog", battle="battle-00000002")))
            while not stage.pool.waiting:
                await asyncio.sleep(0)
            result = await stage.run(job("ant", "cat"))
        stage.cast.fluent = True
        await first
        return result

    result: BattleResult = perform(body, rules=Rules(queue_bound=1))
    error = result.sides.a.error
    assert error is not None
    assert (error.code, error.retryable) == ("overloaded", True)
    assert "try again in about" in error.message
    turn = view(redis_client).turns[0]
    assert (turn.a.error, turn.b.error) == (error, error)


@pytest.mark.parametrize("waiting", [False, True])
def test_a_cancel_frees_the_engines_at_once(perform: Perform, waiting: bool) -> None:
    async def body(stage: Theatre) -> None:
        if waiting:
            async with stage.pool.lease("before", ["cat", "dog"]):
                running = asyncio.create_task(stage.run(job("ant", "bee")))
                while not stage.pool.waiting:
                    await asyncio.sleep(0)
                await _cancelled(stage, lambda: stage.pool.waiting)
        else:
            running = asyncio.create_task(stage.run(job("ant", "bee")))
            await stage.cast.until_asked("bee")
            await _cancelled(stage, lambda: stage.leases)
        assert (await running).cancelled_by == "user"

    perform(body)


async def _cancelled(stage: Theatre, held: Callable[[], int]) -> None:
    """Rounds of the loop, not time: whatever the clock does, nothing may be waited for."""
    assert held()
    stage.stop.ask("user")
    for _ in range(20):
        await asyncio.sleep(0)
    assert held() == 0


def test_what_a_session_holds_is_known_to_the_pool(perform: Perform) -> None:
    async def body(stage: Theatre) -> None:
        mine = msgspec.structs.replace(job("ant", "bee"), session="0123456789ab")
        running = asyncio.create_task(stage.run(mine))
        await stage.cast.until_asked("bee")
        assert stage.pool.state().serving == {"0123456789ab": 1}
        stage.cast.speak_up()
        await running

    perform(body)
