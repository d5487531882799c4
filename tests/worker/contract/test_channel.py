"""The battle log on a real server: order, replay, fencing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis
import redis.asyncio

from worker.contract import channel
from worker.contract import events as ev

BATTLE = "b" * 12


def delta(text: str) -> ev.SideDelta:
    return ev.SideDelta("a", text)


def on_async(url: str, work: Callable[[Any], Awaitable[Any]]) -> Any:
    async def go() -> Any:
        client = redis.asyncio.Redis.from_url(url)
        try:
            return await work(client)
        finally:
            await client.aclose()

    return asyncio.run(go())


def test_frames_carry_battle_and_seq_and_decode_to_their_event(redis_client: redis.Redis) -> None:
    assert channel.publish(redis_client, BATTLE, [ev.TurnStarted(1, 'say "hé"\n'), delta("x")]) == 2
    epoch, frames = channel.read_log(redis_client, BATTLE)
    assert [f.seq for f in frames] == [1, 2]
    assert frames[0].raw.startswith(b'{"battle":"bbbbbbbbbbbb","seq":1,"type":"turn.started"')
    assert frames[0].event == ev.TurnStarted(1, 'say "hé"\n')
    assert epoch == frames[1].epoch


def test_reading_after_a_seq_gives_only_what_came_later(redis_client: redis.Redis) -> None:
    channel.publish(redis_client, BATTLE, [delta(str(i)) for i in range(5)])
    _, frames = channel.read_log(redis_client, BATTLE, after=3)
    assert [f.seq for f in frames] == [4, 5]


def test_a_battle_without_a_log_has_no_epoch(redis_client: redis.Redis) -> None:
    assert channel.read_log(redis_client, BATTLE) == (None, [])


def test_a_follower_gets_replay_then_live_each_once(redis_client: redis.Redis) -> None:
    channel.publish(redis_client, BATTLE, [delta("1"), delta("2")])
    seen = []
    for frame in channel.follow(redis_client, BATTLE, after=1, timeout=5):
        seen.append(frame.seq)
        if frame.seq == 2:
            channel.publish(redis_client, BATTLE, [delta("3"), delta("4")])
        if frame.seq == 4:
            break
    assert seen == [2, 3, 4]


def test_a_follower_with_nothing_new_times_out(redis_client: redis.Redis) -> None:
    with pytest.raises(TimeoutError):
        next(channel.follow(redis_client, BATTLE, timeout=0.05))


def test_an_older_attempt_can_write_nothing_more(redis_url: str, redis_client: redis.Redis) -> None:
    async def work(client: Any) -> None:
        first = await channel.claim_attempt(client, BATTLE)
        await channel.publish_async(client, BATTLE, [delta("old")], first)
        second = await channel.claim_attempt(client, BATTLE)
        assert (first, second) == (1, 2)
        with pytest.raises(channel.StaleAttempt):
            await channel.publish_async(client, BATTLE, [delta("late")], first)
        await channel.publish_async(client, BATTLE, [delta("new")], second)

    on_async(redis_url, work)
    texts = [f.event.text for f in channel.read_log(redis_client, BATTLE)[1]]  # type: ignore[union-attr]
    assert texts == ["old", "new"]


def test_web_and_records_are_never_fenced(redis_url: str, redis_client: redis.Redis) -> None:
    on_async(redis_url, lambda client: channel.claim_attempt(client, BATTLE))
    assert channel.publish(redis_client, BATTLE, [ev.BattleVotable()]) == 1


def test_a_running_attempt_survives_the_loss_of_the_log(redis_url: str, redis_client: redis.Redis) -> None:
    async def work(client: Any) -> int:
        attempt = await channel.claim_attempt(client, BATTLE)
        await client.flushall()
        return await channel.publish_async(client, BATTLE, [delta("on")], attempt)

    assert on_async(redis_url, work) == 1


def test_cancel_is_seen_by_who_asks_later(redis_url: str, redis_client: redis.Redis) -> None:
    channel.request_cancel(redis_client, BATTLE, "user")
    assert on_async(redis_url, lambda c: channel.cancel_requested(c, BATTLE)) == "user"
    assert on_async(redis_url, lambda c: channel.cancel_requested(c, "c" * 12)) is None
