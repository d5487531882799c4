"""The hub on a real Redis: everything waits on events that the hub itself causes."""

from __future__ import annotations

import queue
from collections.abc import Iterator

import pytest
import redis

from web.live.hub import Announced, Hub
from worker.contract import channel
from worker.contract.events import SideDelta

PATIENCE_S = 10


class Ear:
    """A follower that keeps what it hears in order."""

    def __init__(self) -> None:
        self.heard: queue.Queue[str | int] = queue.Queue()

    def subscribed(self) -> None:
        self.heard.put("subscribed")

    def announced(self, told: Announced) -> None:
        self.heard.put(told.seq)

    def next(self) -> str | int:
        return self.heard.get(timeout=PATIENCE_S)


@pytest.fixture
def hub(redis_url: str, redis_client: redis.Redis) -> Iterator[Hub]:
    made = Hub(redis_url)
    yield made
    made.stop()


def publish(client: redis.Redis, battle: str) -> int:
    return channel.publish(client, battle, [SideDelta("a", "x")])


def test_a_follower_hears_first_that_it_follows_then_every_event(hub: Hub, redis_client: redis.Redis) -> None:
    ear = Ear()
    hub.follow("battle-1", ear)
    assert ear.next() == "subscribed"
    assert [publish(redis_client, "battle-1") for _ in range(3)] == [ear.next() for _ in range(3)] == [1, 2, 3]


def test_each_follower_hears_its_own_battle_only(hub: Hub, redis_client: redis.Redis) -> None:
    one, other = Ear(), Ear()
    hub.follow("battle-1", one)
    hub.follow("battle-2", other)
    assert (one.next(), other.next()) == ("subscribed", "subscribed")
    publish(redis_client, "battle-1")
    publish(redis_client, "battle-2")
    publish(redis_client, "battle-2")
    assert (one.next(), other.next(), other.next()) == (1, 1, 2)
    assert one.heard.empty()


def test_one_connection_serves_all_followers_and_the_last_to_leave_unsubscribes(
    hub: Hub, redis_client: redis.Redis
) -> None:
    ears = [Ear() for _ in range(20)]
    for ear in ears:
        hub.follow("battle-1", ear)
    for ear in ears:
        assert ear.next() == "subscribed"
    assert redis_client.pubsub_numsub(channel.channel_key("battle-1"))[0][1] == 1
    assert len(redis_client.client_list(_type="pubsub")) == 1
    for ear in ears[1:]:
        hub.leave("battle-1", ear)
        hub.leave("battle-1", ear)
    publish(redis_client, "battle-1")
    assert ears[0].next() == 1
    hub.leave("battle-1", ears[0])
    probe = Ear()
    hub.follow("battle-2", probe)
    assert probe.next() == "subscribed"  # commands are carried out in order, so the leaving has been too
    assert redis_client.pubsub_channels() == [channel.channel_key("battle-2").encode()]


def test_a_broken_line_is_mended_and_every_follower_told_to_look(hub: Hub, redis_client: redis.Redis) -> None:
    ears = {f"battle-{n}": Ear() for n in range(5)}
    for battle, ear in ears.items():
        hub.follow(battle, ear)
        assert ear.next() == "subscribed"
    redis_client.client_kill_filter(_type="pubsub")
    for battle, ear in ears.items():
        assert ear.next() == "subscribed"
        publish(redis_client, battle)
        assert ear.next() == 1


def test_following_again_after_leaving_works(hub: Hub, redis_client: redis.Redis) -> None:
    for round_ in range(1, 6):
        ear = Ear()
        hub.follow("battle-1", ear)
        assert ear.next() == "subscribed"
        publish(redis_client, "battle-1")
        heard = ear.next()
        while heard == "subscribed":  # an earlier round's confirmation may still have been on its way
            heard = ear.next()
        assert heard == round_
        hub.leave("battle-1", ear)


def test_a_quiet_line_is_asked_for_a_sign_of_life(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from web.live import hub as module

    ear = Ear()
    hub.follow("battle-1", ear)
    ear.next()
    monkeypatch.setattr(module, "PING_AFTER_S", -1.0)
    hub.tick()
    monkeypatch.setattr(module, "DEAD_AFTER_S", -1.0)
    hub.tick()
    assert ear.next() == "subscribed"
