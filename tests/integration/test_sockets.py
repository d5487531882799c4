"""``/ws`` of a real gunicorn with gevent; the worker's part is played by publishing to the log."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis
import websocket

from ops.client import Client
from tests.sockets import (
    HANDSHAKE,
    LEFT_BY_ITSELF,
    Web,
    close_code,
    handshake,
    read_whole,
    receive,
    subscribe,
    told,
    web_process,
)
from tests.web import helpers
from worker.contract import channel
from worker.contract import events as ev

WORDS = "word " * 50


@pytest.fixture(scope="module")
def web(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    with web_process(redis_url, Path(tmp_path_factory.mktemp("web"))) as made:
        yield made


@pytest.fixture
def client(web: Web, redis_client: redis.Redis) -> Client:
    helpers.report_worker(redis_client)
    return Client(web.url)


def test_a_tab_that_comes_back_has_everything_once(client: Client, redis_client: redis.Redis) -> None:
    battle = client.start("Why?")
    first = client.connect()
    subscribe(first, battle)
    snapshot = receive(first, "snapshot")
    channel.publish(redis_client, battle, [ev.SideStarted("a"), ev.SideDelta("a", "one ")], 1)
    seen = receive(first, "side.delta")
    first.shutdown()
    channel.publish(redis_client, battle, [ev.SideDelta("a", "two "), ev.SideDelta("a", "three ")], 1)
    again = client.connect()
    subscribe(again, battle, epoch=snapshot["epoch"], after=seen["seq"])
    assert receive(again, "resumed")["seq"] == seen["seq"]
    batch = receive(again, "batch")
    assert (batch["n"], batch["events"]) == (2, [{"type": "side.delta", "side": "a", "text": "two three "}])
    channel.publish(redis_client, battle, [ev.SideDelta("a", "four")], 1)
    assert told(json.loads(again.recv())) == (batch["seq"] + 1, "four")
    again.shutdown()


def test_many_sockets_share_one_subscriber_and_each_gets_every_word(client: Client, redis_client: redis.Redis) -> None:
    battles = [client.start(f"Why {n}?") for n in range(5)]
    tabs = [(battle, client.connect()) for battle in battles for _ in range(6)]
    for battle, socket in tabs:
        subscribe(socket, battle)
        receive(socket, "snapshot")
    assert len(redis_client.client_list(_type="pubsub")) == 1
    for n in range(40):
        for battle in battles:
            channel.publish(redis_client, battle, [ev.SideDelta("b", f"{battle}:{n} ")], 1)
    for battle, socket in tabs:
        text = "".join(receive(socket, "side.delta")["text"] for _ in range(40))
        assert text == "".join(f"{battle}:{n} " for n in range(40))
        socket.shutdown()


def test_a_reader_that_stalls_loses_nothing_and_stops_nobody(client: Client, redis_client: redis.Redis) -> None:
    battle = client.start("Why?")
    slow, quick = client.connect(), client.connect()
    for socket in (slow, quick):
        subscribe(socket, battle)
        receive(socket, "snapshot")
    texts = [f"{n} {WORDS}" for n in range(6000)]
    with ThreadPoolExecutor(1) as reader:
        whole = reader.submit(read_whole, quick, 1, 6001)
        for text in texts:
            channel.publish(redis_client, battle, [ev.SideDelta("a", text)], 1)
        assert whole.result(120)[0] == "".join(texts)
    text, frames = read_whole(slow, 1, 6001)
    assert text == "".join(texts)
    assert frames < 6000, "what was held back arrives merged"
    for socket in (slow, quick):
        socket.shutdown()


def test_the_line_to_redis_may_break_in_the_middle(client: Client, redis_client: redis.Redis) -> None:
    battle = client.start("Why?")
    socket = client.connect()
    subscribe(socket, battle)
    receive(socket, "snapshot")
    redis_client.client_kill_filter(_type="pubsub")
    channel.publish(redis_client, battle, [ev.SideDelta("a", "lost on the way")], 1)
    while (message := json.loads(socket.recv()))["type"] not in ("batch", "side.delta"):
        pass
    event = message["events"][0] if message["type"] == "batch" else message
    assert event["text"] == "lost on the way"
    socket.shutdown()


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("nonsense", ev.CloseCode.BAD_MESSAGE),
        ('{"type": "subscribe", "battle": "AAAAAAAAAAAAAAAAAAAAAA"}', ev.CloseCode.UNKNOWN),
        ("x" * 70_000, ev.CloseCode.TOO_BIG),
    ],
)
def test_what_is_refused_is_refused_with_a_code(client: Client, said: str, code: int) -> None:
    client.start("Why?")
    socket = client.connect()
    socket.send(said)
    assert close_code(socket) == code
    socket.shutdown()


def test_neither_a_stranger_nor_somebody_without_a_session_gets_a_battle(web: Web, client: Client) -> None:
    battle = client.start("Why?")
    stranger, nobody = Client(web.url), Client(web.url)
    stranger.start("Mine")
    for visitor, code in ((stranger, ev.CloseCode.UNKNOWN), (nobody, ev.CloseCode.SESSION)):
        socket = visitor.connect()
        subscribe(socket, battle)
        assert close_code(socket) == code
        socket.shutdown()


def test_another_origin_never_gets_a_socket(web: Web, client: Client) -> None:
    assert " 403 " in handshake(web.url, *HANDSHAKE, "Origin: https://evil.example")
    assert " 101 " in handshake(web.url, *HANDSHAKE, f"Origin: {web.url}")


def test_another_protocol_is_told_the_version(web: Web, client: Client) -> None:
    socket = websocket.create_connection(web.url.replace("http", "ws") + "/ws", timeout=10)
    assert close_code(socket) == ev.CloseCode.VERSION
    socket.shutdown()


@pytest.mark.parametrize(
    "head", [[], HANDSHAKE[:1], HANDSHAKE[1:], [HANDSHAKE[0], "Sec-WebSocket-Version: 8"]], ids=range(4)
)
def test_a_broken_handshake_is_a_clear_refusal(web: Web, client: Client, head: list[str]) -> None:
    status = handshake(web.url, *head)
    assert " 400 " in status or " 426 " in status


def test_compression_is_never_agreed_to(web: Web, client: Client) -> None:
    header = ["Sec-WebSocket-Extensions: permessage-deflate"]
    socket = websocket.create_connection(
        web.url.replace("http", "ws") + "/ws", subprotocols=[ev.SUBPROTOCOL], header=header, timeout=10
    )
    assert "sec-websocket-extensions" not in socket.headers
    assert receive(socket, "hello")["protocol"] == ev.SUBPROTOCOL
    socket.shutdown()


def test_a_deploy_says_goodbye_and_leaves_nothing(web: Web, client: Client) -> None:
    process = web.process
    battle = client.start("Why?")
    socket = client.connect()
    subscribe(socket, battle)
    receive(socket, "snapshot")
    os.kill(process.pid, signal.SIGTERM)
    assert 0 < receive(socket, "bye")["reconnect_after_ms"] <= 3000
    assert close_code(socket) == ev.CloseCode.GOING_AWAY
    socket.shutdown()
    assert process.wait(30) == 0
    assert LEFT_BY_ITSELF in process.text()
    assert "Traceback" not in process.text()
