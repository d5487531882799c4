"""An engine that dies under a battle: unseen it is made good silently, seen it is said, and not for ever."""

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
from worker.contract.channel import StaleAttempt
from worker.contract.jobs import BattleResult
from worker.engines import Piece
from worker.errors import EngineRefused
from worker.pool import moves

CATALOG = Catalog((spec("ant"), spec("bee"), spec("cat")))


@pytest.fixture(autouse=True)
def _turn(redis_client: redis.Redis) -> None:
    channel.publish(redis_client, BATTLE, [ev.TurnStarted(1, "why?")])


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that died is brought up again after milliseconds instead of seconds."""
    monkeypatch.setattr(moves, "CRASH_BACKOFF_S", 0.01)


Perform = Callable[[Callable[[Theatre], Coroutine[Any, Any, Any]]], Any]


@pytest.fixture
def perform(redis_url: str) -> Perform:
    return lambda body: on_stage(lambda: Theatre(redis_url, CATALOG), body)


def test_a_death_before_anything_was_shown_is_made_good_silently(perform: Perform, redis_client: redis.Redis) -> None:
    async def body(stage: Theatre) -> BattleResult:
        running = asyncio.create_task(stage.run(job("ant", "bee")))
        await stage.cast.until_asked("bee")
        stage.cast.say("ant", "never to be seen ")
        (await stage.cast.until_asked("ant")).die()
        await stage.cast.until_asked("ant", 2)
        await stage.cast.until_asked("bee", 2)
        stage.cast.say("ant", "yes", end=True)
        stage.cast.say("bee", "no", end=True)
        result = await running
        assert stage.started == [1]
        assert len(stage.cast.made["ant"]) == 2
        assert stage.leases == 0
        return result

    result: BattleResult = perform(body)
    assert (result.attempt, result.sides.a.text, result.sides.b.text) == (1, "yes", "no")
    assert not any(isinstance(e, ev.BattleRestarted) for e in told(redis_client))
    assert (view(redis_client).turns[0].a.text, view(redis_client).turns[0].b.text) == ("yes", "no")


def test_a_death_after_text_was_shown_begins_a_new_attempt(perform: Perform, redis_client: redis.Redis) -> None:
    async def body(stage: Theatre) -> BattleResult:
        running = asyncio.create_task(stage.run(job("ant", "bee")))
        await stage.cast.until_asked("bee")
        stage.cast.say("ant", "half of ")
        stage.cast.say("bee", "half of ")
        await stage.first_text()
        stage.cast.made["bee"][-1].die()
        await stage.cast.until_asked("ant", 2)
        await stage.cast.until_asked("bee", 2)
        stage.cast.say("ant", "all", end=True)
        stage.cast.say("bee", "all", end=True)
        result = await running
        assert stage.started == [1, 2]
        return result

    result: BattleResult = perform(body)
    assert (result.attempt, result.sides.a.text, result.sides.b.text) == (2, "all", "all")
    assert ev.BattleRestarted(2) in told(redis_client)
    assert (view(redis_client).attempt, view(redis_client).turns[0].a.text) == (2, "all")


def test_an_answer_that_had_ended_stands_when_the_other_is_given_anew(
    perform: Perform, redis_client: redis.Redis
) -> None:
    async def body(stage: Theatre) -> BattleResult:
        running = asyncio.create_task(stage.run(job("ant", "bee")))
        await stage.cast.until_asked("bee")
        stage.cast.say("ant", "complete", end=True)
        stage.cast.say("bee", "half of ")
        await stage.first_text()
        stage.cast.made["bee"][-1].die()
        await stage.cast.until_asked("bee", 2)
        stage.cast.say("bee", "all", end=True)
        result = await running
        assert len(stage.cast.made["ant"]) == 1
        return result

    result: BattleResult = perform(body)
    assert (result.attempt, result.sides.a.text, result.sides.b.text) == (2, "complete", "all")
    assert view(redis_client).turns[0].a == ev.SideView("complete", "done", "stop")


def test_an_engine_that_is_dead_and_says_nothing_is_noticed(perform: Perform) -> None:
    async def body(stage: Theatre) -> BattleResult:
        running = asyncio.create_task(stage.run(job("ant", "bee")))
        (await stage.cast.until_asked("bee")).die(silently=True)
        await stage.cast.until_asked("bee", 2)
        stage.cast.speak_up()
        return await running

    assert perform(body).sides.b.finish_reason == "stop"


def test_an_engine_that_dies_every_time_fails_its_side_and_only_that(redis_url: str, redis_client: redis.Redis) -> None:
    async def body(stage: Theatre) -> BattleResult:
        stage.settings = stage.settings.model_copy(update={"max_attempts": 2})
        running = asyncio.create_task(stage.run(job("ant", "bee")))
        (await stage.cast.until_asked("ant", 1)).die()
        (await stage.cast.until_asked("ant", 2)).die()
        stage.cast.say("bee", "the rest of it", end=True)
        result = await running
        assert stage.leases == 0
        return result

    result: BattleResult = on_stage(lambda: Theatre(redis_url, CATALOG), body)
    assert result.sides.a.error is not None
    assert result.sides.a.error.code == "engine_failed"
    assert result.sides.b.text == "the rest of it"
    turn = view(redis_client).turns[0]
    assert (turn.a.status, turn.b.status) == ("failed", "done")
    assert "ant" not in result.sides.a.error.message


def test_an_engine_that_stays_away_too_long_fails_the_battle_visibly(
    perform: Perform, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moves, "CRASH_BACKOFF_S", 60.0)

    async def body(stage: Theatre) -> BattleResult:
        running = asyncio.create_task(stage.run(job("ant", "bee")))
        (await stage.cast.until_asked("ant")).die()
        return await running

    result: BattleResult = perform(body)
    assert result.sides.a.error is not None
    assert result.sides.a.error == result.sides.b.error
    assert result.sides.a.error.code == "engine_failed"
    turn = view(redis_client).turns[0]
    assert (turn.a.status, turn.b.status) == ("failed", "failed")


def test_a_death_after_all_was_said_harms_nobody(perform: Perform) -> None:
    async def body(stage: Theatre) -> BattleResult:
        stage.settings = stage.settings.model_copy(update={"pace_tail_s": 0.5})
        running = asyncio.create_task(stage.run(job("ant", "bee")))
        await stage.cast.until_asked("bee")
        stage.cast.say("ant", "x" * 50, end=True)
        stage.cast.say("bee", "y" * 500, end=True)
        await stage.first_text()
        assert stage.leases == 0  # what is still being shown needs no engine
        stage.cast.made["bee"][-1].die()
        return await running

    result: BattleResult = perform(body)
    assert (result.attempt, result.sides.b.text) == (1, "y" * 500)


def test_an_engine_that_declines_one_request_fails_that_side_alone(perform: Perform) -> None:
    async def body(stage: Theatre) -> BattleResult:
        running = asyncio.create_task(stage.run(job("ant", "bee")))
        actor = await stage.cast.until_asked("ant")
        await stage.cast.until_asked("bee")
        actor.requests[0].put_nowait(EngineRefused("ant", "too many at once"))
        stage.cast.say("bee", "fine", end=True)
        result = await running
        assert len(stage.cast.made["ant"]) == 1
        return result

    result: BattleResult = perform(body)
    assert (result.sides.a.finish_reason, result.sides.b.text) == ("failed", "fine")


def test_a_restart_does_not_fence_off_the_worker_that_has_taken_over(perform: Perform) -> None:
    async def body(stage: Theatre) -> None:
        running = asyncio.create_task(stage.run(job("ant", "bee")))
        await stage.cast.until_asked("bee")
        stage.cast.say("ant", "half of ")
        stage.cast.say("bee", "half of ")
        await stage.first_text()
        taken = await channel.claim_attempt(stage.redis, BATTLE)
        stage.cast.made["bee"][-1].die()
        with pytest.raises(StaleAttempt):
            await running
        await channel.publish_async(stage.redis, BATTLE, [ev.SideStarted("a")], taken)
        assert stage.leases == 0

    perform(body)


@pytest.mark.parametrize("shown", [False, True])
def test_a_cancel_while_the_engine_is_coming_back_ends_the_battle(
    perform: Perform, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch, shown: bool
) -> None:
    monkeypatch.setattr(moves, "CRASH_BACKOFF_S", 4.0)

    async def body(stage: Theatre) -> BattleResult:
        running = asyncio.create_task(stage.run(job("ant", "bee")))
        await stage.cast.until_asked("bee")
        if shown:
            stage.cast.say("ant", "half of ")
            stage.cast.say("bee", "half of ")
            await stage.first_text()
        stage.cast.made["ant"][-1].die()
        await stage.told(ev.BattleQueued)
        stage.stop.ask("user")
        result = await running
        assert stage.pool.waiting == stage.leases == 0
        return result

    result: BattleResult = perform(body)
    assert (result.cancelled_by, result.sides.a.text, result.sides.b.text) == ("user", "", "")
    turn = view(redis_client).turns[0]
    assert (turn.a.finish_reason, turn.a.text, turn.b.finish_reason) == ("cancelled", "", "cancelled")


def test_the_meter_hears_of_every_answer(perform: Perform) -> None:
    heard: list[tuple[str, str]] = []

    async def body(stage: Theatre) -> None:
        meter: Any = stage.pool.meter
        meter.first_token = lambda model, s: heard.append((model, "first"))
        meter.answered = lambda model, tokens, s, how: heard.append((model, how))
        running = asyncio.create_task(stage.run(job("ant", "bee")))
        await stage.cast.until_asked("bee")
        await stage.cast.until_asked("ant")
        stage.cast.made["ant"][-1].requests[0].put_nowait(Piece("", 1, 1, None))
        stage.cast.say("ant", "yes", end=True)
        stage.cast.made["bee"][-1].die()
        await stage.cast.until_asked("bee", 2)
        stage.cast.speak_up()
        await running

    perform(body)
    assert sorted(heard) == sorted(
        [("ant", "first"), ("ant", "stop"), ("bee", "failed"), ("bee", "first"), ("bee", "stop")]
    )
