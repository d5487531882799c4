"""Turns after the first, and turns tried again, as a worker answers them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import redis
from msgspec.structs import replace

from tests.worker.conftest import spec
from tests.worker.stage import BATTLE, Stage, Theatre, job, on_stage, told, view
from worker.contract import channel
from worker.contract import events as ev
from worker.contract.catalog import Catalog
from worker.contract.jobs import BattleJob, BattleResult, Message, SideResult, Timings
from worker.engines.echo import EchoEngine
from worker.pool.pool import Pool
from worker.stopping import HandedBack, Stop

FAST = {"tokens_per_s": 2000.0, "first_token_s": 0.0, "length": 40}
ACTORS = Catalog((spec("ant"), spec("bee")))
STANDS = SideResult("What stands.", "stop", 3, 4, Timings(0.1, 0.2, 0.3))
BROKE = ev.Failure("engine_failed", "It broke.")


def of_turn(made: BattleJob, turn: int, before: int) -> BattleJob:
    return replace(made, turn=turn, before=before, attempts=before)


def tried_again(made: BattleJob, stands: str | None = "a") -> BattleJob:
    """The first turn once more after one attempt; ``stands``: the side that is not answered again."""
    sides = made.sides
    if stands is not None:
        sides = replace(sides, **{stands: replace(getattr(sides, stands), answered=STANDS)})
    return replace(made, retry=1, before=1, attempts=1, sides=sides)


@pytest.fixture(autouse=True)
def _ended_once(redis_client: redis.Redis) -> None:
    """A first turn with one attempt, in which side b failed."""
    channel.publish(redis_client, BATTLE, [ev.TurnStarted(1, "why?")])
    said = [ev.SideDelta("a", STANDS.text), ev.SideDone("a", "stop"), ev.SideFailed("b", BROKE)]
    channel.publish(redis_client, BATTLE, said, 1)
    channel.publish(redis_client, BATTLE, [ev.BattleFailed(BROKE)], turn=1)


def begin(client: redis.Redis, event: ev.StoredEvent) -> None:
    channel.publish(client, BATTLE, [event])


def acted(redis_url: str, body: Callable[[Theatre], Any], capacity: int = 2) -> Any:
    return on_stage(lambda: Theatre(redis_url, ACTORS, capacity=capacity), body)


def test_a_later_turn_begins_without_a_restart(redis_url: str, redis_client: redis.Redis) -> None:
    begin(redis_client, ev.TurnStarted(2, "and?"))

    async def body(stage: Theatre) -> BattleResult:
        stage.cast.speak_up()
        return await stage.run(of_turn(job("ant", "bee"), turn=2, before=1))

    result = acted(redis_url, body)
    assert (result.turn, result.attempt, result.retry) == (2, 2, 0)
    assert not [e for e in told(redis_client) if isinstance(e, ev.BattleRestarted)]
    turns = view(redis_client).turns
    assert (turns[0].a.text, turns[1].a.text) == (STANDS.text, result.sides.a.text)


def test_every_turn_has_all_its_attempts(redis_url: str, redis_client: redis.Redis) -> None:
    async def body(stage: Theatre) -> BattleResult:
        stage.cast.speak_up()
        for _ in range(5):
            await channel.claim_attempt(stage.redis, BATTLE, turn=2)
        begin(redis_client, ev.TurnStarted(3, "so?"))
        return await stage.run(of_turn(job("ant", "bee"), turn=3, before=6))

    result = acted(redis_url, body)
    assert (result.attempt, result.sides.a.finish_reason) == (7, "stop")


def test_the_side_that_stands_is_not_asked_again_and_comes_back_as_it_was(
    redis_url: str, redis_client: redis.Redis
) -> None:
    begin(redis_client, ev.TurnRetried(1, 1, ("b",)))

    async def body(stage: Theatre) -> BattleResult:
        running = asyncio.create_task(stage.run(tried_again(job("ant", "bee"))))
        bee = await stage.cast.until_asked("bee")
        assert len(bee.requests) == 1
        assert stage.leases == 2, "the wait is for both, or it would tell of the one"
        stage.cast.say("bee", "Better.", end=True)
        result = await running
        assert stage.cast.made["ant"][-1].requests == []
        assert "ant" not in stage.cast._asked
        return result

    result = acted(redis_url, body)
    assert result.sides.a == STANDS
    assert (result.sides.b.text, result.attempt, result.retry) == ("Better.", 2, 1)
    since = told(redis_client)[5:]
    assert {e.side for e in since if isinstance(e, ev.SideDelta | ev.SideDone)} == {"b"}
    turn = view(redis_client).turns[0]
    assert (turn.a.text, turn.a.status, turn.b.text, turn.b.status) == (STANDS.text, "done", "Better.", "done")


def test_one_side_is_tried_again_where_two_do_not_fit(redis_url: str, redis_client: redis.Redis) -> None:
    begin(redis_client, ev.TurnRetried(1, 1, ("b",)))

    async def body(stage: Theatre) -> BattleResult:
        stage.cast.speak_up()
        return await stage.run(tried_again(job("ant", "bee")))

    result = acted(redis_url, body, capacity=1)
    assert (result.sides.a, result.sides.b.finish_reason) == (STANDS, "stop")


def test_a_restart_shows_the_side_that_stands_again(redis_url: str, redis_client: redis.Redis) -> None:
    begin(redis_client, ev.TurnRetried(1, 1, ("b",)))

    async def body(stage: Theatre) -> BattleResult:
        running = asyncio.create_task(stage.run(tried_again(job("ant", "bee"))))
        await stage.cast.until_asked("bee")
        stage.stop.ask("shutdown")
        with pytest.raises(HandedBack):
            await running
        stage.stop = Stop()
        stage.cast.speak_up()
        return await stage.run(tried_again(job("ant", "bee")))

    result = acted(redis_url, body)
    assert result.attempt == 3
    assert ev.BattleRestarted(3) in told(redis_client)
    turn = view(redis_client).turns[0]
    assert (turn.a.text, turn.a.status, turn.b.text) == (STANDS.text, "done", result.sides.b.text)


@pytest.mark.parametrize("stands", ["a", None])
def test_a_log_lost_during_a_retry_is_told_from_its_beginning(
    redis_url: str, redis_client: redis.Redis, stands: str | None
) -> None:
    begin(redis_client, ev.TurnRetried(1, 1, ("b",) if stands else ev.SIDES))

    async def body(stage: Theatre) -> BattleResult:
        running = asyncio.create_task(stage.run(tried_again(job("ant", "bee"), stands)))
        await stage.cast.until_asked("bee")
        await stage.redis.flushall()
        stage.cast.speak_up()
        return await running

    result = acted(redis_url, body)
    events = told(redis_client)
    assert events[0] == ev.TurnRetried(1, 1, ("b",) if stands else ev.SIDES)
    assert "".join(e.text for e in events if isinstance(e, ev.SideDelta) and e.side == "b") == result.sides.b.text


@pytest.mark.parametrize(
    ("wish", "heard"), [(channel.Cancel("user", turn=1), False), (channel.Cancel("user", turn=2), True)]
)
def test_a_cancel_ends_the_turn_it_was_asked_in_and_no_other(
    redis_url: str, redis_client: redis.Redis, wish: channel.Cancel, heard: bool
) -> None:
    channel.request_cancel(redis_client, BATTLE, "user", turn=wish.turn)
    begin(redis_client, ev.TurnStarted(2, "and?"))

    async def body(stage: Theatre) -> BattleResult:
        stage.cast.speak_up()
        return await stage.run(of_turn(job("ant", "bee"), turn=2, before=1))

    assert (acted(redis_url, body).cancelled_by == "user") is heard


def test_an_operators_words_come_with_the_result(redis_url: str, redis_client: redis.Redis) -> None:
    begin(redis_client, ev.TurnStarted(2, "and?"))
    channel.request_cancel(redis_client, BATTLE, "operator", "Maintenance.", turn=2)

    async def body(stage: Theatre) -> BattleResult:
        return await stage.run(of_turn(job("ant", "bee"), turn=2, before=1))

    result = acted(redis_url, body)
    assert (result.cancelled_by, result.cancel_reason) == ("operator", "Maintenance.")


@pytest.mark.parametrize("capacity", [2, 1])
def test_a_conversation_too_long_for_one_side_is_refused_for_both(
    redis_url: str, redis_client: redis.Redis, capacity: int
) -> None:
    catalog = Catalog((spec("ant", **FAST), spec("bee", **FAST)))
    begin(redis_client, ev.TurnStarted(2, "and?"))
    made = of_turn(job("ant", "bee"), turn=2, before=1)
    longer = (Message("user", "word " * 5000), Message("assistant", "well"), Message("user", "and?"))
    made = replace(made, sides=replace(made.sides, b=replace(made.sides.b, messages=longer)))

    async def body(stage: Stage) -> BattleResult:
        return await stage.run(made)

    result: BattleResult = on_stage(lambda: Stage(redis_url, Pool(catalog, EchoEngine, capacity=capacity)), body)
    a, b = result.sides.a, result.sides.b
    assert a.error == b.error is not None
    assert (a.error.code, a.error.retryable) == ("context_overflow", False)
    assert (a.text, b.text) == ("", "")
    assert not [e for e in told(redis_client)[5:] if isinstance(e, ev.SideDelta | ev.SideDone)]
