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
    assert on_async(redis_url, lambda c: channel.cancel_requested(c, BATTLE)) == channel.Cancel("user")
    assert on_async(redis_url, lambda c: channel.cancel_requested(c, "c" * 12)) is None


@pytest.mark.parametrize(
    ("wish", "meant"),
    [
        (channel.Cancel("user"), [True, True, True]),
        (channel.Cancel("operator", "late", 1), [True, False, False]),
        (channel.Cancel("user", "", 1, 1), [False, True, False]),
    ],
)
def test_a_cancel_means_the_turn_it_was_asked_in(wish: channel.Cancel, meant: list[bool]) -> None:
    assert [wish.means(*place) for place in ((1, 0), (1, 1), (2, 0))] == meant


class Forgetful:
    """A client whose first answers get lost: it sends the very same call again, as redis-py does."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def register_script(self, script: str) -> Callable[..., Any]:
        real = self._client.register_script(script)

        def twice(**call: Any) -> Any:
            first = real(**call)
            if not asyncio.iscoroutine(first):
                return real(**call)

            async def both() -> Any:
                await first
                return await real(**call)

            return both()

        return twice


def test_a_call_whose_answer_got_lost_counts_once(redis_url: str, redis_client: redis.Redis) -> None:
    web = Forgetful(redis_client)
    assert channel.publish(web, BATTLE, [ev.TurnStarted(1, "why?")]) == 1

    async def worker(client: Any) -> None:
        forgetful = Forgetful(client)
        attempt = await channel.claim_attempt(forgetful, BATTLE)
        assert attempt == 1
        assert await channel.publish_async(forgetful, BATTLE, [delta("1"), delta("2")], attempt, turn=1) == 3
        assert channel.publish(web, BATTLE, [ev.BattleQueued(1)]) == 4
        assert await channel.publish_async(forgetful, BATTLE, [delta("3")], attempt, turn=1, after=3) == 5
        assert await channel.claim_attempt(forgetful, BATTLE) == 2

    on_async(redis_url, worker)
    assert [f.seq for f in channel.read_log(redis_client, BATTLE)[1]] == [1, 2, 3, 4, 5]


def test_a_log_that_came_back_shorter_is_told_anew_under_a_new_epoch(redis_url: str, redis_client: redis.Redis) -> None:
    channel.publish(redis_client, BATTLE, [ev.TurnStarted(1, "why?")])
    before, _ = channel.read_log(redis_client, BATTLE)

    async def worker(client: Any) -> None:
        attempt = await channel.claim_attempt(client, BATTLE)
        last = await channel.publish_async(client, BATTLE, [delta("1")], attempt, turn=1)
        snapshot = [await client.dump(key) for key in (channel.log_key(BATTLE), channel.meta_key(BATTLE))]
        last = await channel.publish_async(client, BATTLE, [delta("2")], attempt, turn=1, after=last)
        for key, value in zip((channel.log_key(BATTLE), channel.meta_key(BATTLE)), snapshot, strict=True):
            await client.restore(key, 0, value, replace=True)
        for _ in range(2):
            with pytest.raises(channel.LogLost):
                await channel.publish_async(client, BATTLE, [delta("3")], attempt, turn=1, after=last)
        whole = [ev.TurnStarted(1, "why?"), delta("1"), delta("2"), delta("3")]
        assert await channel.publish_async(Forgetful(client), BATTLE, whole, attempt, turn=1, fresh=True) == 4
        assert await channel.publish_async(client, BATTLE, [delta("4")], attempt, turn=1, after=4) == 5

    on_async(redis_url, worker)
    epoch, frames = channel.read_log(redis_client, BATTLE)
    assert epoch != before
    assert [f.event.text for f in frames[1:]] == ["1", "2", "3", "4"]  # type: ignore[union-attr]


def test_an_answered_turn_is_not_begun_again_and_keeps_its_answer(redis_url: str, redis_client: redis.Redis) -> None:
    channel.publish(redis_client, BATTLE, [ev.TurnStarted(1, "why?")])

    async def worker(client: Any) -> None:
        attempt = await channel.claim_attempt(client, BATTLE)
        await channel.publish_async(client, BATTLE, [], attempt, turn=1, result=b"it came to this")
        with pytest.raises(channel.Answered) as answered:
            await channel.claim_attempt(client, BATTLE)
        assert answered.value.result == b"it came to this"

    on_async(redis_url, worker)
    assert channel.kept_result(redis_client, BATTLE) == b"it came to this"


def test_a_superseded_attempt_can_leave_no_answer(redis_url: str, redis_client: redis.Redis) -> None:
    async def worker(client: Any) -> None:
        old = await channel.claim_attempt(client, BATTLE)
        await channel.claim_attempt(client, BATTLE)
        with pytest.raises(channel.StaleAttempt):
            await channel.publish_async(client, BATTLE, [], old, result=b"too late")

    on_async(redis_url, worker)
    assert channel.kept_result(redis_client, BATTLE) is None


@pytest.mark.parametrize("end", [ev.BattleVotable(), ev.BattleFailed(ev.Failure("x", "y")), ev.BattleCancelled("user")])
def test_a_turn_whose_end_was_told_is_closed_until_the_next_begins(
    redis_url: str, redis_client: redis.Redis, end: ev.StoredEvent
) -> None:
    channel.publish(redis_client, BATTLE, [ev.TurnStarted(1, "why?")])

    async def worker(client: Any) -> None:
        attempt = await channel.claim_attempt(client, BATTLE)
        channel.publish(redis_client, BATTLE, [end])
        with pytest.raises(channel.StaleAttempt):
            await channel.publish_async(client, BATTLE, [delta("more")], attempt, turn=1)
        with pytest.raises(channel.StaleAttempt):
            await channel.claim_attempt(client, BATTLE)
        channel.publish(redis_client, BATTLE, [ev.TurnStarted(2, "and why?")])
        assert await channel.claim_attempt(client, BATTLE, turn=2) == 2
        with pytest.raises(channel.StaleAttempt):
            await channel.claim_attempt(client, BATTLE, turn=1)

    on_async(redis_url, worker)


def test_a_turn_begins_once(redis_client: redis.Redis) -> None:
    for _ in range(2):
        assert channel.publish(redis_client, BATTLE, [ev.TurnStarted(1, "why?")]) == 1
    for _ in range(2):
        assert channel.publish(redis_client, BATTLE, [ev.TurnRetried(1, 1, ("a",))]) == 2
    for _ in range(2):
        assert channel.publish(redis_client, BATTLE, [ev.TurnStarted(2, "and why?")]) == 3
    assert channel.publish(redis_client, BATTLE, [ev.TurnRetried(1, 2, ("a",))]) == 3


def test_a_retry_opens_a_turn_that_was_closed_and_fences_what_came_before(
    redis_url: str, redis_client: redis.Redis
) -> None:
    channel.publish(redis_client, BATTLE, [ev.TurnStarted(1, "why?")])

    async def worker(client: Any) -> None:
        first = await channel.claim_attempt(client, BATTLE)
        channel.publish(redis_client, BATTLE, [ev.BattleFailed(ev.Failure("x", "y"))], turn=1)
        channel.publish(redis_client, BATTLE, [ev.TurnRetried(1, 1, ("b",))])
        with pytest.raises(channel.StaleAttempt):
            await channel.claim_attempt(client, BATTLE, turn=1)
        second = await channel.claim_attempt(client, BATTLE, turn=1, retry=1)
        assert (first, second) == (1, 2)
        with pytest.raises(channel.StaleAttempt):
            await channel.publish_async(client, BATTLE, [delta("late")], first, turn=1)
        await channel.publish_async(client, BATTLE, [delta("again")], second, turn=1, retry=1)

    on_async(redis_url, worker)
    told = [f.event for f in channel.read_log(redis_client, BATTLE)[1]]
    assert told[-2:] == [ev.TurnRetried(1, 1, ("b",)), delta("again")]


def test_the_end_of_an_earlier_turn_says_nothing_of_a_later_one(redis_url: str, redis_client: redis.Redis) -> None:
    channel.publish(redis_client, BATTLE, [ev.TurnStarted(1, "why?")])
    channel.publish(redis_client, BATTLE, [ev.TurnStarted(2, "and why?")])
    assert channel.publish(redis_client, BATTLE, [ev.BattleVotable()], turn=1) == 2
    assert on_async(redis_url, lambda c: channel.claim_attempt(c, BATTLE, turn=2)) == 1
    assert channel.publish(redis_client, BATTLE, [ev.BattleVotable()], turn=2) == 3


def test_a_closed_battle_is_forgotten_and_stays_so(redis_url: str, redis_client: redis.Redis) -> None:
    channel.publish(redis_client, BATTLE, [ev.TurnStarted(1, "a secret")])

    async def worker(client: Any) -> None:
        attempt = await channel.claim_attempt(client, BATTLE)
        await channel.publish_async(client, BATTLE, [delta("a word")], attempt, turn=1, result=b"kept")
        channel.close(redis_client, BATTLE)
        for fresh in (False, True):
            with pytest.raises(channel.StaleAttempt):
                await channel.publish_async(client, BATTLE, [delta("more")], attempt, turn=1, after=2, fresh=fresh)
        for turn in (1, 2):
            with pytest.raises(channel.StaleAttempt):
                await channel.claim_attempt(client, BATTLE, turn=turn)

    on_async(redis_url, worker)
    assert channel.read_log(redis_client, BATTLE) == (None, [])
    assert channel.kept_result(redis_client, BATTLE) is None
    channel.publish(redis_client, BATTLE, [ev.TurnStarted(3, "more")])
    assert channel.read_log(redis_client, BATTLE) == (None, [])


def test_attempts_known_from_elsewhere_count_when_the_log_was_lost(redis_url: str, redis_client: redis.Redis) -> None:
    assert on_async(redis_url, lambda c: channel.claim_attempt(c, BATTLE, known=3)) == 4
    assert on_async(redis_url, lambda c: channel.claim_attempt(c, BATTLE, known=3)) == 5
