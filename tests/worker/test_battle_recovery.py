"""A battle whose log or whose result gets lost on the way, and copies of its job that come late."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import redis

from tests.worker.stage import BATTLE, Stage, job
from worker.contract import channel
from worker.contract import events as ev
from worker.contract.catalog import Catalog, ModelSpec
from worker.contract.channel import StaleAttempt
from worker.contract.jobs import BattleResult, read_result
from worker.contract.view import fold_all
from worker.engines.echo import EchoEngine, answer
from worker.pool.pool import Pool

Perform = Callable[..., Any]


@pytest.fixture
def perform(redis_client: redis.Redis, redis_url: str, make_spec: Callable[..., ModelSpec]) -> Perform:
    """Run ``body(stage)`` on echo engines after a turn was begun."""
    specs = tuple(make_spec(m, tokens_per_s=200, length=60, seed=n) for n, m in enumerate(("ant", "bee")))

    def go(body: Callable[[Stage], Any]) -> Any:
        async def on_loop() -> Any:
            pool = Pool(Catalog(specs), EchoEngine, capacity=2)
            pool.start(())
            stage = Stage(redis_url, pool)
            try:
                async with asyncio.timeout(20):
                    return await body(stage)
            finally:
                await pool.close()
                await stage.redis.aclose()

        channel.publish(redis_client, BATTLE, [ev.TurnStarted(1, "why?")])
        return asyncio.run(on_loop())

    return go


def shown(client: redis.Redis) -> ev.TurnView:
    _, frames = channel.read_log(client, BATTLE)
    assert [f.seq for f in frames] == list(range(1, len(frames) + 1))
    return fold_all(f.event for f in frames).turns[0]


@pytest.mark.parametrize("everything", [True, False])
def test_what_was_shown_is_told_again_when_redis_loses_it(
    perform: Perform, redis_client: redis.Redis, everything: bool
) -> None:
    epochs = []

    async def body(stage: Stage) -> BattleResult:
        running = asyncio.create_task(stage.run(job("ant", "bee")))
        await stage.first_text()
        epochs.append(channel.read_log(redis_client, BATTLE)[0])
        if everything:
            redis_client.flushall()
        else:  # the newest second of it
            last = redis_client.xrevrange(channel.log_key(BATTLE), count=1)[0][0]
            redis_client.xdel(channel.log_key(BATTLE), last)
            redis_client.hincrby(channel.meta_key(BATTLE), "seq", -1)
        return await running

    result: BattleResult = perform(body)
    turn = shown(redis_client)
    assert turn.prompt == "why?"
    for side in ev.SIDES:
        assert getattr(turn, side).text == getattr(result.sides, side).text != ""
    assert result.attempt == 1, "nothing was generated twice"
    assert channel.read_log(redis_client, BATTLE)[0] not in epochs


def test_a_copy_of_an_answered_job_gets_the_answer_and_generates_nothing(
    perform: Perform, redis_client: redis.Redis
) -> None:
    async def body(stage: Stage) -> tuple[BattleResult, BattleResult]:
        first = await stage.run(job("ant", "bee"))
        before = channel.read_log(redis_client, BATTLE)
        again = await stage.run(job("ant", "bee"))
        assert channel.read_log(redis_client, BATTLE) == before
        return first, again

    first, again = perform(body)
    kept = channel.kept_result(redis_client, BATTLE)
    assert kept is not None
    assert first == again == read_result(kept)


def test_a_copy_that_comes_after_the_end_was_told_is_refused(perform: Perform, redis_client: redis.Redis) -> None:
    async def body(stage: Stage) -> None:
        await stage.run(job("ant", "bee"))
        channel.publish(redis_client, BATTLE, [ev.BattleVotable()])
        before = channel.read_log(redis_client, BATTLE)
        with pytest.raises(StaleAttempt):
            await stage.run(job("ant", "bee"))
        assert channel.read_log(redis_client, BATTLE) == before

    perform(body)


def test_a_battle_that_was_given_up_while_it_ran_leaves_no_answer(perform: Perform, redis_client: redis.Redis) -> None:
    async def body(stage: Stage) -> None:
        running = asyncio.create_task(stage.run(job("ant", "bee")))
        await stage.first_text()
        channel.publish(redis_client, BATTLE, [ev.BattleFailed(ev.Failure("deadline_exceeded", "Too late."))])
        with pytest.raises(StaleAttempt):
            await running

    perform(body)
    assert channel.kept_result(redis_client, BATTLE) is None
    assert isinstance(channel.read_log(redis_client, BATTLE)[1][-1].event, ev.BattleFailed)


def test_the_made_up_words_are_what_the_script_says(perform: Perform, make_spec: Callable[..., ModelSpec]) -> None:
    result: BattleResult = perform(lambda stage: stage.run(job("ant", "bee")))
    script = make_spec("ant", tokens_per_s=200, length=60, seed=0).echo
    assert script is not None
    assert result.sides.a.text == "".join(answer(script, "why?"))
