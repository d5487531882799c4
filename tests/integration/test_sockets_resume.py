"""Exactly once in the reader's eyes, whatever dies: web process, worker, Redis, or the log itself."""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis
import websocket

from ops.client import Client
from tests.redis_server import private_redis
from tests.sockets import Web, receive, subscribe, web_process
from tests.web import helpers
from web.context import build_arena
from web.records.service import Records
from web.settings import WebSettings
from worker.contract import channel
from worker.contract import events as ev
from worker.contract.view import fold_all


class Reader:
    """A page: holds a view and a cursor, checks every frame against them, and comes back with the cursor."""

    def __init__(self, client: Client, battle: str) -> None:
        self.client = client
        self.battle = battle
        self.view = ev.BattleView()
        self.epoch: str | None = None
        self.seq = 0
        self.kinds: list[str] = []
        self.socket: websocket.WebSocket | None = None

    def __enter__(self) -> Reader:
        self.come()
        self.read("snapshot")
        return self

    def __exit__(self, *_: object) -> None:
        self.go()

    def go(self) -> None:
        if self.socket is not None:
            self.socket.shutdown()
        self.socket = None

    def come(self) -> None:
        self.go()
        self.socket = self.client.connect()
        cursor = {} if self.epoch is None else {"epoch": self.epoch, "after": self.seq}
        subscribe(self.socket, self.battle, **cursor)

    def read(self, kind: str, until: Any = lambda _view: True) -> None:
        """Take frames in until one of that type after which ``until(view)``."""
        assert self.socket is not None
        while True:
            message = json.loads(self.socket.recv())
            self.take(message)
            if message["type"] == kind and until(self.view):
                return

    def take(self, message: dict[str, Any]) -> None:
        self.kinds.append(message["type"])
        match message["type"]:
            case "snapshot":
                self.view = msgspec.convert(message["view"], ev.BattleView)
                self.epoch, self.seq = message["epoch"], message["seq"]
            case "resumed":
                assert (message["epoch"], message["seq"]) == (self.epoch, self.seq)
            case "batch":
                assert message["seq"] - message["n"] == self.seq
                self.view = fold_all(msgspec.convert(message["events"], list[ev.StoredEvent]), self.view)
                self.seq = message["seq"]
            case "hello" | "ping" | "bye":
                pass
            case _:
                assert message["seq"] == self.seq + 1
                self.view = fold_all([ev.decode_event(json.dumps(message))], self.view)
                self.seq = message["seq"]

    @property
    def text(self) -> str:
        return self.view.turns[0].a.text


@pytest.fixture
def web(redis_url: str, redis_client: redis.Redis, tmp_path: Path) -> Iterator[Web]:
    helpers.report_worker(redis_client)
    with web_process(redis_url, tmp_path) as made:
        yield made


def say(client: redis.Redis, battle: str, *texts: str, attempt: int = 1) -> None:
    channel.publish(client, battle, [ev.SideDelta("a", text) for text in texts], attempt)


def test_a_killed_web_process_costs_its_readers_nothing(web: Web, redis_client: redis.Redis) -> None:
    with Reader(client := Client(web.url), client.start("Why?")) as reader:
        say(redis_client, reader.battle, "one ")
        reader.read("side.delta")
        web.process.signal(signal.SIGKILL)
        web.process.stop()
        say(redis_client, reader.battle, "two ", "three ")
        web.start()
        reader.come()
        reader.read("batch")
        say(redis_client, reader.battle, "four")
        reader.read("side.delta")
        assert reader.text == "one two three four"
        assert reader.kinds.count("snapshot") == 1


def test_a_new_attempt_is_announced_and_the_old_one_cannot_be_heard(web: Web, redis_client: redis.Redis) -> None:
    with Reader(client := Client(web.url), client.start("Why?")) as reader:
        say(redis_client, reader.battle, "half an ans", attempt=1)
        reader.read("side.delta")
        channel.publish(redis_client, reader.battle, [ev.BattleRestarted(2)], 2)
        reader.read("battle.restarted")
        assert (reader.text, reader.view.attempt) == ("", 2)
        with pytest.raises(channel.StaleAttempt):
            say(redis_client, reader.battle, "wer of a dead worker", attempt=1)
        reader.go()
        say(redis_client, reader.battle, "a whole ", "answer", attempt=2)
        reader.come()
        reader.read("batch")
        assert (reader.text, reader.kinds.count("snapshot")) == ("a whole answer", 1)


def finish(web: Web, battle: str, text: str) -> None:
    """Play the records worker: the outcome is in the database."""
    settings = WebSettings(redis_url=web.redis_url, data_dir=web.folder, catalog=web.process.env["ARENA_CATALOG"])
    arena = build_arena(settings, queue=None)  # type: ignore[arg-type]  # nothing is queued here
    records = Records(arena)
    records.started(battle, 1, 1)
    records.finished(helpers.result(battle, a=helpers.side(text)))
    arena.db.dispose()
    arena.redis.connection_pool.disconnect()


def test_when_the_log_has_expired_the_database_answers(web: Web, redis_client: redis.Redis) -> None:
    with Reader(client := Client(web.url), client.start("Why?")) as reader:
        say(redis_client, reader.battle, "An ")
        reader.read("side.delta")
        reader.go()
        finish(web, reader.battle, "An answer.")
        redis_client.delete(channel.log_key(reader.battle), channel.meta_key(reader.battle))
        reader.come()
        reader.read("snapshot")
        assert (reader.text, reader.view.state, reader.view.votable) == ("An answer.", "finished", True)
        assert reader.client.vote(reader.battle, "a")["winner"] == "a"
        reader.read("snapshot", lambda view: view.models is not None)
        assert reader.text == "An answer."


def test_a_store_that_comes_back_empty_means_a_new_epoch_and_a_snapshot(tmp_path: Path) -> None:
    """The socket stays; what the page holds is replaced, and what is written from then on comes once."""
    with contextlib.ExitStack() as stack:
        with private_redis(tmp_path) as url, redis.Redis.from_url(url) as store:
            web = stack.enter_context(web_process(url, tmp_path))
            helpers.report_worker(store)
            client = Client(web.url)
            reader = stack.enter_context(Reader(client, client.start("Why?")))
            say(store, reader.battle, "lost with the store")
            reader.read("side.delta")
            before = reader.epoch
        with private_redis(tmp_path) as url, redis.Redis.from_url(url) as store:
            channel.publish(store, reader.battle, [ev.BattleRestarted(2)], 2)
            say(store, reader.battle, "all anew", attempt=2)
            reader.read("snapshot", lambda view: view.turns[0].a.text == "all anew")
            say(store, reader.battle, ", once", attempt=2)
            reader.read("side.delta")
            assert (reader.text, reader.epoch != before) == ("all anew, once", True)
            reader.go()
            say(store, reader.battle, ".", attempt=2)
            reader.come()
            reader.read("batch")
            assert reader.text == "all anew, once."


def test_a_cursor_of_another_epoch_is_answered_with_a_snapshot(web: Web, redis_client: redis.Redis) -> None:
    client = Client(web.url)
    battle = client.start("Why?")
    say(redis_client, battle, "x")
    socket = client.connect()
    subscribe(socket, battle, epoch="feedbeef0000", after=2)
    assert receive(socket, "snapshot")["epoch"] != "feedbeef0000"
    socket.shutdown()
