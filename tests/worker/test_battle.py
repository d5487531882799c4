"""One battle on the real log with stand-in engines: endings, fencing, what people are told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import redis

from tests.worker.conftest import spec
from tests.worker.stage import BATTLE, Stage, job, told, view
from tests.worker.stage import on_stage as perform
from worker.contract import channel
from worker.contract import events as ev
from worker.contract.catalog import Catalog
from worker.contract.channel import StaleAttempt
from worker.contract.jobs import BattleJob, BattleResult
from worker.engines.echo import EchoEngine
from worker.pool.pool import Pool
from worker.stopping import HandedBack, Stop

FAST = {"tokens_per_s": 2000.0, "first_token_s": 0.0, "length": 40}
CATALOG = Catalog(
    (
        spec("ant", seed=1, **FAST),
        spec("bee", seed=2, **FAST),
        spec("slow", tokens_per_s=20.0, length=400),
        spec("broken", fail="load"),
        spec("mute", fail="start"),
        spec("frail", fail="midway", **FAST),
        spec("sleeper", load_s=1.0, **FAST),
    )
)


def on_stage(redis_url: str, body: Callable[[Stage], Coroutine[Any, Any, Any]]) -> Any:
    return perform(lambda: Stage(redis_url, Pool(CATALOG, EchoEngine, capacity=2)), body)


def run(redis_url: str, battle_job: BattleJob) -> BattleResult:
    result: BattleResult = on_stage(redis_url, lambda stage: stage.run(battle_job))
    return result


@pytest.fixture(autouse=True)
def _turn(redis_client: redis.Redis) -> None:
    channel.publish(redis_client, BATTLE, [ev.TurnStarted(1, "why?")])


def test_what_was_streamed_is_what_is_returned(redis_url: str, redis_client: redis.Redis) -> None:
    result = run(redis_url, job("ant", "bee"))
    turn = view(redis_client).turns[0]
    assert (turn.a.text, turn.b.text) == (result.sides.a.text, result.sides.b.text)
    assert (turn.a.finish_reason, turn.b.finish_reason) == ("stop", "stop")
    assert result.sides.a.completion_tokens == 40
    assert result.sides.a.timings.first_token_s is not None
    assert result.attempt == 1


def test_nothing_in_the_log_names_a_model(redis_url: str, redis_client: redis.Redis) -> None:
    run(redis_url, job("ant", "broken"))
    log = b"".join(f.raw for f in channel.read_log(redis_client, BATTLE)[1])
    for model in ("ant", "broken"):
        assert f'"{model}"'.encode() not in log
        assert spec(model).name.encode() not in log


def test_an_answer_cut_by_its_token_limit_says_so(redis_url: str) -> None:
    result = run(redis_url, job("ant", "bee", max_tokens=7))
    assert result.sides.a.finish_reason == result.sides.b.finish_reason == "length"
    assert result.sides.b.completion_tokens == 7


def test_a_side_that_dies_fails_alone(redis_url: str, redis_client: redis.Redis) -> None:
    result = run(redis_url, job("mute", "bee"))
    assert result.sides.a.finish_reason == "failed"
    assert result.sides.a.error is not None
    assert result.sides.a.error.code == "engine_failed"
    assert result.sides.b.finish_reason == "stop"
    assert view(redis_client).turns[0].a.status == "failed"


def test_a_side_that_dies_midway_keeps_what_it_said(redis_url: str, redis_client: redis.Redis) -> None:
    result = run(redis_url, job("frail", "bee"))
    assert result.sides.a.text
    assert view(redis_client).turns[0].a.text == result.sides.a.text


def test_a_prompt_too_long_for_the_model_is_refused_with_its_code(redis_url: str) -> None:
    result = run(redis_url, job("ant", "bee", prompt="word " * 3000))
    assert result.sides.a.error is not None
    assert (result.sides.a.error.code, result.sides.a.error.retryable) == ("context_overflow", False)


def test_a_model_that_cannot_load_fails_both_sides_without_saying_which(redis_url: str) -> None:
    result = run(redis_url, job("broken", "bee"))
    assert result.sides.a.error == result.sides.b.error
    assert result.sides.a.error is not None
    assert result.sides.a.error.code == "load_failed"


def test_cancel_midway_keeps_the_text_and_frees_the_engines(redis_url: str, redis_client: redis.Redis) -> None:
    async def body(stage: Stage) -> BattleResult:
        running = asyncio.create_task(stage.run(job("slow", "ant")))
        await stage.first_text()
        stage.stop.ask("user")
        result = await running
        assert all(s.view.leases == 0 for s in stage.pool.slots.values())
        return result

    result: BattleResult = on_stage(redis_url, body)
    assert result.cancelled_by == "user"
    assert result.sides.a.finish_reason == "cancelled"
    assert result.sides.a.text
    turn = view(redis_client).turns[0]
    assert (turn.a.text, turn.b.text) == (result.sides.a.text, result.sides.b.text)
    assert (turn.a.status, turn.b.status) == ("done", "done")


def test_whenever_a_stop_comes_the_log_holds_exactly_what_was_said(redis_url: str, redis_client: redis.Redis) -> None:
    async def body(stage: Stage) -> list[BattleResult]:
        results = []
        for pause in range(25):
            stage.stop = Stop()
            running = asyncio.create_task(stage.run(job("ant", "bee")))
            for _ in range(pause * 4):
                await asyncio.sleep(0.0005)
            stage.stop.ask("user")
            results.append(await running)
            turn = view(redis_client).turns[0]
            assert (turn.a.text, turn.b.text) == (results[-1].sides.a.text, results[-1].sides.b.text)
            assert {turn.a.status, turn.b.status} == {"done"}
            await stage.redis.delete(channel.log_key(BATTLE), channel.meta_key(BATTLE))
            channel.publish(redis_client, BATTLE, [ev.TurnStarted(1, "why?")])
        return results

    results = on_stage(redis_url, body)
    assert {r.sides.a.finish_reason for r in results} >= {"cancelled"}
    assert any(r.sides.a.text for r in results)


def test_a_cancel_asked_before_the_start_is_honoured(redis_url: str, redis_client: redis.Redis) -> None:
    channel.request_cancel(redis_client, BATTLE, "user")
    result = run(redis_url, job("slow", "ant"))
    assert result.cancelled_by == "user"
    assert result.sides.a.text == ""


def test_the_deadline_ends_a_battle_visibly(redis_url: str) -> None:
    result = run(redis_url, job("slow", "ant", deadline_s=0.2))
    assert result.sides.a.error is not None
    assert result.sides.a.error.code == "deadline_exceeded"
    assert result.cancelled_by is None


def test_a_second_attempt_is_announced_and_starts_clean(redis_url: str, redis_client: redis.Redis) -> None:
    async def body(stage: Stage) -> None:
        first = asyncio.create_task(stage.run(job("slow", "ant")))
        await stage.first_text()
        stage.stop.ask("shutdown")
        with pytest.raises(HandedBack):
            await first
        stage.stop = Stop()
        result = await stage.run(job("ant", "bee"))
        assert result.attempt == 2
        assert stage.started == [1, 2]
        assert view(redis_client).turns[0].a.text == result.sides.a.text

    on_stage(redis_url, body)


def test_a_stale_attempt_stops_when_another_has_taken_over(redis_url: str) -> None:
    async def body(stage: Stage) -> None:
        first = asyncio.create_task(stage.run(job("slow", "ant")))
        while not stage.started:
            await asyncio.sleep(0)
        await channel.claim_attempt(stage.redis, BATTLE)
        with pytest.raises(StaleAttempt):
            await first

    on_stage(redis_url, body)


def test_a_battle_interrupted_too_often_is_given_up(redis_url: str) -> None:
    async def body(stage: Stage) -> BattleResult:
        for _ in range(stage.settings.max_attempts):
            await channel.claim_attempt(stage.redis, BATTLE)
        return await stage.run(job("ant", "bee"))

    result: BattleResult = on_stage(redis_url, body)
    assert result.sides.a.error is not None
    assert "too many times" in result.sides.a.error.message


def test_waiting_for_engines_is_told_as_a_fraction(redis_url: str, redis_client: redis.Redis) -> None:
    run(redis_url, job("sleeper", "ant"))
    assert any(isinstance(e, ev.BattleLoading) for e in told(redis_client))
