"""The operators' stream: the newest of everything, and an end when the key ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import msgspec
import pytest
import redis
from flask import Flask

from tests.processes import wait_for
from tests.web.admin.conftest import Bearer
from web.admin.stream import OperatorStream
from web.errors import TooManyConnections
from web.live.house import House
from web.live.hub import Announced
from web.live.sse import HEARTBEAT_S
from web.live.visitor import Visitor
from worker.contract import watch


@dataclass
class Opened:
    stream: OperatorStream
    pieces: Iterator[bytes]
    valid: list[bool]

    def told(self, **message: Any) -> None:
        self.stream.announced(Announced("-", 0, msgspec.json.encode(message), b"", 0.0))

    def next(self) -> list[dict[str, Any]]:
        """The messages of the next piece."""
        lines = next(self.pieces).split(b"\n\n")
        return [msgspec.json.decode(line.partition(b"data: ")[2]) for line in lines if b"data: " in line]


@pytest.fixture
def house(app: Flask) -> House:
    return cast(House, app.extensions["arena_live"])


@pytest.fixture
def opened(house: House) -> Iterator[Opened]:
    visitor = Visitor("o" * 64, "127.0.0.1")
    valid = [True]
    ticks = iter(range(10_000))
    clock: Callable[[], float] = lambda: next(ticks) * HEARTBEAT_S  # noqa: E731 - each look a heartbeat later
    stream = OperatorStream(house, visitor, "k1", lambda: valid[0], clock=clock)
    house.enter(stream, visitor, stream=True)
    made = Opened(stream, iter(stream), valid)
    assert next(made.pieces).startswith(b"retry: ")
    yield made
    stream.close()
    assert len(house) == 0


def test_a_slow_reader_gets_the_newest_of_each_and_nothing_twice(opened: Opened) -> None:
    for at in range(100):
        opened.told(type="worker", worker="w1", at=at)
        opened.told(type="worker", worker="w2", at=at)
        opened.told(type="changed", what="votes")
    assert opened.next() == [
        {"type": "worker", "worker": "w1", "at": 99},
        {"type": "worker", "worker": "w2", "at": 99},
        {"type": "changed", "what": "votes"},
    ]
    opened.told(type="worker", worker="w1", at=100)
    assert opened.next() == [{"type": "worker", "worker": "w1", "at": 100}]


def test_it_ends_when_its_own_key_is_revoked(opened: Opened) -> None:
    opened.told(type="changed", what="keys", subject="another")
    assert opened.next()[0]["subject"] == "another"
    opened.told(type="changed", what="keys", subject="k1")
    assert list(opened.pieces) == []


def test_it_ends_at_a_heartbeat_when_nobody_could_say_that_the_key_was_revoked(opened: Opened) -> None:
    opened.valid[0] = False
    opened.told(type="worker", worker="w1", at=1)
    assert list(opened.pieces) == []


def test_a_server_that_goes_away_says_when_to_come_back(house: House, opened: Opened) -> None:
    house.shutdown()
    (bye,) = opened.next()
    assert bye["type"] == "bye"
    assert list(opened.pieces) == []


def test_what_is_told_in_redis_reaches_the_reader(opened: Opened, redis_client: redis.Redis) -> None:
    heard: list[Any] = []
    reading = threading.Thread(target=lambda: heard.append(opened.next()), daemon=True)
    reading.start()
    wait_for("the hub to listen", lambda: redis_client.pubsub_numsub(watch.CHANNEL)[0][1])
    watch.tell(redis_client, watch.Changed("sessions"))
    reading.join(10)
    assert heard == [[{"type": "changed", "what": "sessions", "subject": ""}]]


def test_streams_of_one_key_are_bounded(app: Flask, house: House, admin: Bearer, monkeypatch: Any) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise TooManyConnections()

    monkeypatch.setattr(house, "enter", full)
    assert admin.get("/api/admin/events").status_code == 429
