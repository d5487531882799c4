"""Calls of one moment share a round trip; each caller gets its own answer, or its own failure."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from worker.contract import channel
from worker.contract import events as ev
from worker.together import Together

ADD = "return redis.call('INCRBY', KEYS[1], ARGV[1])"
Work = Callable[[Together], Awaitable[Any]]


@pytest.fixture
def run(redis_url: str, redis_client: redis.Redis) -> Callable[[Work], Any]:
    def go(work: Work) -> Any:
        async def inside() -> Any:
            async with redis.asyncio.Redis.from_url(redis_url) as client:
                return await work(Together(client))

        return asyncio.run(inside())

    return go


def round_trips(client: Together) -> list[int]:
    """How many calls each pipeline carries, from now on."""
    sent: list[int] = []
    make = client._redis.pipeline

    def pipeline(**options: Any) -> Any:
        made = make(**options)
        execute = made.execute

        async def counted(**how: Any) -> Any:
            sent.append(len(made.command_stack))
            return await execute(**how)

        made.execute = counted
        return made

    client._redis.pipeline = pipeline
    return sent


def test_calls_of_one_moment_share_a_round_trip(run: Callable[[Work], Any]) -> None:
    async def work(client: Together) -> Any:
        add = client.register_script(ADD)
        await add(keys=["warm"], args=[0])
        sent = round_trips(client)
        answers = await asyncio.gather(*(add(keys=[f"k{n % 3}"], args=[n]) for n in range(9)))
        return sent, answers

    sent, answers = run(work)
    assert sent == [9]
    assert answers == [0, 1, 2, 3, 5, 7, 9, 12, 15], "in order, each its own"


def test_logs_written_at_once_each_count_on_by_themselves(run: Callable[[Work], Any]) -> None:
    async def one(client: Together, battle: str) -> list[int]:
        await channel.publish_async(client, battle, [ev.TurnStarted(1, "Why?")], None, turn=0)
        attempt = await channel.claim_attempt(client, battle)
        return [await channel.publish_async(client, battle, [ev.SideDelta("a", "x")], attempt, turn=1) for _ in "abc"]

    async def work(client: Together) -> Any:
        return await asyncio.gather(*(one(client, f"battle-{n:016d}") for n in range(8)))

    assert run(work) == [[2, 3, 4]] * 8


def test_a_server_that_has_forgotten_its_scripts_is_told_them_again(
    run: Callable[[Work], Any], redis_client: redis.Redis
) -> None:
    async def work(client: Together) -> Any:
        add = client.register_script(ADD)
        await add(keys=["k"], args=[1])
        redis_client.script_flush()
        return await asyncio.gather(add(keys=["k"], args=[1]), add(keys=["k"], args=[1]))

    assert run(work) == [2, 3]


def test_one_calls_failure_is_nobody_elses(run: Callable[[Work], Any]) -> None:
    async def work(client: Together) -> Any:
        good, bad = client.register_script(ADD), client.register_script("return redis.call('NOSUCH')")
        calls = (good(keys=["k"], args=[1]), bad(), good(keys=["k"], args=[1]))
        return await asyncio.gather(*calls, return_exceptions=True)

    first, failed, last = run(work)
    assert (first, last) == (1, 2)
    assert isinstance(failed, ResponseError)


def test_a_lost_connection_is_told_to_all(run: Callable[[Work], Any]) -> None:
    async def work(client: Together) -> Any:
        await client._redis.aclose()
        away = Together(redis.asyncio.Redis(unix_socket_path="/nowhere.sock", retry=Retry(NoBackoff(), 0)))
        add = away.register_script(ADD)
        return await asyncio.gather(*(add(keys=["k"], args=[1]) for _ in range(3)), return_exceptions=True)

    assert [type(e) for e in run(work)] == [RedisConnectionError] * 3


def test_a_caller_that_is_cancelled_leaves_the_others_alone(run: Callable[[Work], Any]) -> None:
    async def work(client: Together) -> Any:
        add = client.register_script(ADD)
        calls = [asyncio.ensure_future(add(keys=["k"], args=[1])) for _ in range(3)]
        await asyncio.sleep(0)
        calls[1].cancel()
        return await asyncio.gather(*calls, return_exceptions=True)

    first, cancelled, last = run(work)
    assert isinstance(cancelled, asyncio.CancelledError)
    assert (first, last) == (1, 3)
