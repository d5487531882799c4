"""``/api/battles/<id>/events`` of a real gunicorn: the websocket's twin, resumed by ``Last-Event-ID``."""

from __future__ import annotations

import http.client
import json
import signal
import socket as sockets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis
import websocket

from ops.client import Client
from tests.processes import flask_keys, wait_for
from tests.sockets import LEFT_BY_ITSELF, Web, close_code, receive, subscribe, told, web_process
from tests.web import helpers
from worker.contract import channel
from worker.contract import events as ev


@pytest.fixture(scope="module")
def web(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    limits = {"ARENA_MAX_SOCKETS_PER_SESSION": "3"}
    with web_process(redis_url, Path(tmp_path_factory.mktemp("web")), **limits) as made:
        yield made


@pytest.fixture
def client(web: Web, redis_client: redis.Redis) -> Client:
    helpers.report_worker(redis_client)
    return Client(web.url)


@dataclass
class Stream:
    """What a script sees: ``last`` is the id it would come back with."""

    web: Web
    client: Client
    battle: str
    last: str | None = None
    retry: list[int] = field(default_factory=list)
    line: http.client.HTTPConnection | None = None
    answer: http.client.HTTPResponse | None = None

    def open(self, *, version: int = 11, small: bool = False, **headers: str) -> http.client.HTTPResponse:
        self.close()
        self.line = http.client.HTTPConnection("127.0.0.1", self.web.port, timeout=20)
        if small:
            self.line.sock = sockets.socket()
            self.line.sock.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
            self.line.sock.connect(("127.0.0.1", self.web.port))
        self.line._http_vsn, self.line._http_vsn_str = version, f"HTTP/1.{version - 10}"  # type: ignore[attr-defined]
        cookie = "; ".join(f"{c.name}={c.value}" for c in self.client.cookies)
        known = {} if self.last is None else {"Last-Event-ID": self.last}
        self.line.request("GET", f"/api/battles/{self.battle}/events", headers={"Cookie": cookie, **known, **headers})
        self.answer = self.line.getresponse()
        return self.answer

    def close(self) -> None:
        if self.answer is not None:
            self.answer.close()
        if self.line is not None:
            self.line.close()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def next(self) -> dict[str, Any] | None:
        """The next message; None at the end of the stream."""
        assert self.answer is not None
        data: dict[str, Any] | None = None
        while line := self.answer.readline():
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name == "id":
                self.last = value
            elif name == "retry":
                self.retry.append(int(value))
            elif name == "data":
                data = json.loads(value)
            elif not name and data is not None:
                return data
        return None


def test_a_script_resumes_exactly_where_it_was(web: Web, client: Client, redis_client: redis.Redis) -> None:
    battle = client.start("Why?")
    with Stream(web, client, battle) as stream:
        answer = stream.open()
        assert (answer.status, answer.getheader("Content-Type")) == (200, "text/event-stream")
        assert answer.getheader("X-Accel-Buffering") == "no"
        snapshot = stream.next()
        assert snapshot is not None
        assert (snapshot["type"], stream.last, stream.retry) == ("snapshot", f"{snapshot['epoch']}:1", [2000])
        channel.publish(redis_client, battle, [ev.SideStarted("a"), ev.SideDelta("a", "one ")], 1)
        while stream.last != f"{snapshot['epoch']}:3":
            assert stream.next()
        stream.close()
        channel.publish(redis_client, battle, [ev.SideDelta("a", "two "), ev.SideDelta("a", "three ")], 1)
        stream.open()
        resumed, batch = stream.next(), stream.next()
        assert resumed == {"type": "resumed", "battle": battle, "epoch": snapshot["epoch"], "seq": 3}
        assert batch is not None
        assert (batch["seq"], batch["n"]) == (5, 2)
        assert batch["events"] == [{"type": "side.delta", "side": "a", "text": "two three "}]
        assert stream.last == f"{snapshot['epoch']}:5"
        channel.publish(redis_client, battle, [ev.SideDelta("a", "four")], 1)
        assert told(stream.next()) == (6, "four")


def test_it_ends_with_the_battle_and_whoever_returns_is_told_to_stop(
    web: Web, client: Client, redis_client: redis.Redis
) -> None:
    battle = client.start("Why?")
    with Stream(web, client, battle) as stream:
        stream.open()
        stream.next()
        client.request("POST", f"/api/battles/{battle}/cancel")
        ended = stream.next()
        assert ended is not None
        assert ended["type"] == "battle.cancelled"
        assert stream.next() is None
        assert stream.open().status == 204
        stream.last = None
        stream.open()
        whole = stream.next()
        assert whole is not None
        assert whole["view"]["state"] == "cancelled"
        assert stream.next() is None


def test_text_that_looks_like_an_ending_is_none(web: Web, client: Client, redis_client: redis.Redis) -> None:
    battle = client.start("Why?")
    with Stream(web, client, battle) as stream:
        stream.open()
        stream.next()
        texts = []
        for text in ('","type":"battle.failed"', "\n\ndata: more\n"):
            channel.publish(redis_client, battle, [ev.SideDelta("a", text)], 1)
            texts.append(told(stream.next()))
        assert texts == [(2, '","type":"battle.failed"'), (3, "\n\ndata: more\n")]


def test_streams_and_sockets_share_one_subscriber_and_one_limit(
    web: Web, client: Client, redis_client: redis.Redis
) -> None:
    battle = client.start("Why?")
    with Stream(web, client, battle) as one, Stream(web, client, battle) as other, Stream(web, client, battle) as more:
        one.open()
        other.open()
        assert one.next()
        assert other.next()
        socket = client.connect()
        assert json.loads(socket.recv())["type"] == "hello"
        assert len(redis_client.client_list(_type="pubsub")) == 1
        refused = more.open()
        assert (refused.status, refused.getheader("Content-Type")) == (429, "application/problem+json")
        assert json.loads(refused.read())["code"] == "too_many_connections"
        assert int(refused.getheader("Retry-After") or 0) > 0
        socket.shutdown()
        one.close()
        wait_for("a place", lambda: more.open().status == 200)


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [({"Origin": "https://evil.example"}, 403, "cross_origin"), ({"Sec-Fetch-Site": "cross-site"}, 403, "cross_origin"),
     ({"Cookie": "arena_session=forged"}, 404, "unknown_battle")],
)  # fmt: skip
def test_refusals_are_problems(web: Web, client: Client, headers: dict[str, str], status: int, code: str) -> None:
    with Stream(web, client, client.start("Why?")) as stream:
        refused = stream.open(**headers)
        assert (refused.status, refused.getheader("Content-Type")) == (status, "application/problem+json")
        assert json.loads(refused.read())["code"] == code


@pytest.mark.parametrize("last", ["nonsense", "x:1", ":", "feed:99999999999999999999", "feedbeef0000:3"])
def test_an_id_that_was_never_ours_gets_a_snapshot(web: Web, client: Client, last: str) -> None:
    with Stream(web, client, client.start("Why?"), last=last) as stream:
        stream.open()
        first = stream.next()
        assert first is not None
        assert first["type"] == "snapshot"


def test_a_reader_that_stalls_catches_up_and_delays_nobody(web: Web, client: Client, redis_client: redis.Redis) -> None:
    """Should it stall so long that it is broken off, it comes back with what it has."""
    battle = client.start("Why?")
    with Stream(web, client, battle) as slow:
        slow.open(version=10, small=True)
        slow.next()
        texts = [f"{n} " + "word " * 400 for n in range(1500)]
        for start in range(0, len(texts), 100):
            channel.publish(redis_client, battle, [ev.SideDelta("a", t) for t in texts[start : start + 100]], 1)
            assert web.healthy
        text, seq, frames = "", 1, 0
        while seq < 1501:
            message = slow.next()
            if message is None:
                slow.open(version=10)
                continue
            if message["type"] == "resumed":
                continue
            events = message.get("events", [message])
            assert message["seq"] - message.get("n", 1) == seq
            seq, frames = message["seq"], frames + 1
            text += "".join(e["text"] for e in events)
        assert text == "".join(texts)
        assert frames < 1500


def test_a_deploy_says_when_to_come_back(redis_url: str, redis_client: redis.Redis, tmp_path: Path) -> None:
    helpers.report_worker(redis_client)
    with web_process(redis_url, tmp_path) as web:
        client = Client(web.url)
        with Stream(web, client, client.start("Why?")) as stream:
            stream.open()
            stream.next()
            web.process.signal(signal.SIGTERM)
            bye = stream.next()
            assert bye is not None
            assert (bye["type"], stream.retry[-1]) == ("bye", bye["reconnect_after_ms"])
            assert stream.next() is None
        assert web.process.wait(30) == 0
        assert LEFT_BY_ITSELF in web.process.text()
        assert "Traceback" not in web.process.text()


def test_what_was_opened_with_a_key_ends_with_it(web: Web, client: Client) -> None:
    key = flask_keys(web.process.env, "create", "a program", "--scope", "battle")
    bearer = {"Authorization": f"Bearer {key['key']}"}

    def post(path: str, body: Any = None) -> Any:
        line = http.client.HTTPConnection("127.0.0.1", web.port, timeout=20)
        line.request("POST", path, json.dumps(body or {}), {"Content-Type": "application/json", **bearer})
        answer = json.loads(line.getresponse().read())
        line.close()
        return answer

    battle = post("/api/battles", {"prompt": "Why?"})["id"]
    ticket = post(f"/api/battles/{battle}/ticket")["ticket"]
    address = f"ws://127.0.0.1:{web.port}/ws"
    heads = [f"Authorization: Bearer {key['key']}"]
    own = websocket.create_connection(address, subprotocols=["arena.v1"], header=heads, timeout=20)
    lent = websocket.create_connection(address, subprotocols=["arena.v1", f"ticket.{ticket}"], timeout=20)
    other = Stream(web, client, client.start("Why not?"))
    with Stream(web, client, battle) as stream, other:
        assert stream.open(**bearer).status == 200
        assert other.open().status == 200
        assert (stream.next() or {})["type"] == "snapshot"
        for socket in (own, lent):
            subscribe(socket, battle)
            receive(socket, "snapshot")
        flask_keys(web.process.env, "revoke", key["id"])
        assert stream.next() is None
        for socket in (own, lent):
            assert receive(socket, "error")["code"] == "session"
            assert close_code(socket) == 4501
            socket.shutdown()
        assert stream.open(**bearer).status == 401
        assert (other.next() or {})["type"] == "snapshot", "a session's streams are nobody else's matter"
