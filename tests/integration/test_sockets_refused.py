"""Who gets no socket, and how a socket ends that misbehaves; afterwards the process is as well as before."""

from __future__ import annotations

import contextlib
import json
import os
import socket as sockets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
import websocket

from ops.client import Client, Refused
from tests.processes import wait_for
from tests.sockets import (
    HANDSHAKE,
    PROTOCOL,
    Web,
    answer,
    close_code,
    handshake,
    read_whole,
    receive,
    subscribe,
    web_process,
)
from tests.web import helpers
from worker.contract import channel
from worker.contract import events as ev

STRANGER = "Origin: https://evil.example"


@pytest.fixture(scope="module")
def web(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    limits = {
        "ARENA_MAX_SOCKETS": "40",
        "ARENA_MAX_SOCKETS_PER_SESSION": "5",
        "ARENA_MAX_SOCKETS_PER_ADDRESS": "12",
        "ARENA_TRUSTED_PROXIES": "127.0.0.1/32",
        "ARENA_ORIGINS": "https://friend.example",
    }
    with web_process(redis_url, Path(tmp_path_factory.mktemp("web")), **limits) as made:
        yield made


@pytest.fixture
def client(web: Web, redis_client: redis.Redis) -> Iterator[Client]:
    helpers.report_worker(redis_client)
    yield Client(web.url)
    assert web.healthy
    assert "Traceback" not in web.process.text()


def connect(web: Web, address: str = "192.0.2.7", **how: Any) -> websocket.WebSocket:
    """A socket as it comes through a proxy."""
    return websocket.create_connection(
        web.url.replace("http", "ws") + how.pop("path", "/ws"),
        subprotocols=how.pop("subprotocols", [ev.SUBPROTOCOL]),
        header=[f"X-Forwarded-For: {address}"],
        timeout=15,
        **how,
    )


def process(web: Web) -> psutil.Process:
    return psutil.Process(web.process.pid).children()[0]


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "", "https://friend.example.evil.example", "https://friend.example:444",
     "http://friend.example", "ftp://friend.example", "https://friend.example@evil.example"],
)  # fmt: skip
def test_a_forged_origin_never_gets_a_socket(web: Web, client: Client, origin: str) -> None:
    said = answer(web.url, *HANDSHAKE, PROTOCOL, f"Origin: {origin}")
    assert " 403 " in said.split("\r\n")[0]
    assert "application/problem+json" in said


def test_our_own_origin_and_those_on_the_list_do(web: Web, client: Client) -> None:
    for origin in (web.url, "https://friend.example"):
        assert " 101 " in handshake(web.url, *HANDSHAKE, PROTOCOL, f"Origin: {origin}")


def test_ten_thousand_garbage_frames_end_one_socket_and_nothing_else(web: Web, client: Client) -> None:
    witness_of = client.start("Why?")
    witness = client.connect()
    subscribe(witness, witness_of)
    receive(witness, "snapshot")
    socket = client.connect()
    with contextlib.suppress(OSError):  # it may be gone before all is said
        for _ in range(10_000):
            socket.sock.send(b"\x81\x85" + os.urandom(4) + os.urandom(5))
    with contextlib.suppress(OSError, websocket.WebSocketException):
        assert close_code(socket) in (ev.CloseCode.BAD_MESSAGE, 1007)
    socket.shutdown()
    witness.send('{"type": "ping", "n": 7}')
    assert receive(witness, "pong")["n"] == 7
    witness.shutdown()


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"\x01\x02\x03", 1002),  # not masked
        (b"\xf1\x80\0\0\0\0", 1002),  # reserved bits: we agreed to no extension
        (b"\x83\x80\0\0\0\0", 1002),  # an opcode nobody knows
        (b"\x89\xfe\x00\x7e\0\0\0\0" + b"x" * 126, 1002),  # a control frame too long
        (b"\x81\x82\0\0\0\0\xff\xfe", 1007),  # not UTF-8
        (b"\x82\x81\0\0\0\0x", ev.CloseCode.BAD_MESSAGE),  # binary
        (b"\x81\x81\0\0\0\0x", ev.CloseCode.BAD_MESSAGE),  # not JSON
        (b"\x81\xff\0\0\0\0\0\x01\x11\x70\0\0\0\0" + b"x" * 70_000, ev.CloseCode.TOO_BIG),
        (b"\x01\xfe\xff\xff\0\0\0\0" + b"x" * 65_535 + b"\x80\x82\0\0\0\0xx", ev.CloseCode.TOO_BIG),  # in two parts
    ],
    ids=range(9),
)
def test_a_frame_that_breaks_the_rules_is_answered_with_its_code(
    web: Web, client: Client, said: bytes, code: int
) -> None:
    socket = client.connect()
    socket.sock.sendall(said)
    assert close_code(socket) == code
    if code in (1002, 1007):
        assert socket.sock.recv(10) == b"", "where nothing more can be understood, the server ends its side"
    socket.shutdown()


def test_a_battle_of_somebody_else_is_unknown(web: Web, client: Client) -> None:
    battle = client.start("Mine.")
    stranger = Client(web.url)
    stranger.start("Theirs.")
    socket = stranger.connect()
    subscribe(socket, battle)
    assert receive(socket, "error")["code"] == "unknown_battle"
    assert close_code(socket) == ev.CloseCode.UNKNOWN
    socket.shutdown()


@pytest.mark.parametrize("kind", ["vote", "cancel", "battle.votable", "side.delta", "publish"])
def test_a_socket_can_never_command(web: Web, client: Client, kind: str) -> None:
    battle = client.start("Mine.")
    socket = client.connect()
    socket.send(json.dumps({"type": kind, "battle": battle, "winner": "a", "by": "user", "side": "a", "text": "x"}))
    assert close_code(socket) == ev.CloseCode.BAD_MESSAGE
    socket.shutdown()
    assert client.battle(battle)["state"] == "queued"


def cookie(client: Client) -> str:
    return "; ".join(f"{c.name}={c.value}" for c in client.cookies)


def test_one_session_has_so_many_sockets_wherever_it_is_and_one_less_makes_room(web: Web, client: Client) -> None:
    client.start("Why?")
    held = [connect(web, f"192.0.2.{n}", cookie=cookie(client)) for n in range(5)]
    for socket in held:
        receive(socket, "hello")
    refused = connect(web, "192.0.2.99", cookie=cookie(client))
    assert receive(refused, "error")["code"] == "limited"
    assert close_code(refused) == ev.CloseCode.LIMITED
    refused.shutdown()
    held.pop().shutdown()
    wait_for("a place", lambda: _gets_in(web, cookie=cookie(client)))
    for socket in held:
        socket.shutdown()


def _gets_in(web: Web, **how: Any) -> bool:
    socket = connect(web, **how)
    first = json.loads(socket.recv())
    socket.shutdown()
    return bool(first["type"] == "hello")


def test_one_address_has_so_many_sockets_as_its_proxy_tells_not_as_it_says_itself(web: Web, client: Client) -> None:
    held = [connect(web, f"203.0.113.{n}, 198.51.100.1") for n in range(12)]
    for socket in held:
        receive(socket, "hello")
    refused = connect(web, "203.0.113.200, 198.51.100.1")
    assert receive(refused, "error")["code"] == "limited"
    assert close_code(refused) == ev.CloseCode.LIMITED
    assert _gets_in(web, address="198.51.100.2")
    for socket in [*held, refused]:
        socket.shutdown()


def test_a_full_process_says_come_back_later(web: Web, client: Client) -> None:
    def all_gone() -> bool:
        return len(process(web).net_connections()) < 8

    wait_for("earlier tests' sockets to go", all_gone)
    held = [connect(web, f"198.51.100.{n // 10}") for n in range(40)]
    for socket in held:
        receive(socket, "hello")
    refused = connect(web, "192.0.2.50")
    assert receive(refused, "error")["code"] == "no_room"
    assert close_code(refused) == ev.CloseCode.OVERLOAD
    for socket in [*held, refused]:
        socket.shutdown()
    wait_for("everybody to go", all_gone)


# ── tickets ──────────────────────────────────────────────────────────────────────────────────────────────────────


def ticket(client: Client, battle: str) -> str:
    return str(client.request("POST", f"/api/battles/{battle}/ticket")["ticket"])


@pytest.mark.parametrize("way", ["query", "subprotocol"])
def test_a_ticket_opens_one_socket_from_anywhere_for_its_battle(
    web: Web, client: Client, redis_client: redis.Redis, way: str
) -> None:
    battle, other = client.start("Why?"), client.start("Another.")
    granted = ticket(client, battle)
    offer = {
        "query": {"path": f"/ws?ticket={granted}"},
        "subprotocol": {"subprotocols": [ev.SUBPROTOCOL, f"ticket.{granted}"]},
    }[way]
    embedded = connect(web, origin="https://blog.example", **dict(offer))
    assert embedded.getsubprotocol() == ev.SUBPROTOCOL
    subscribe(embedded, battle)
    assert receive(embedded, "snapshot")["battle"] == battle
    channel.publish(redis_client, battle, [ev.SideDelta("a", "x")])
    assert receive(embedded, "side.delta")["text"] == "x"
    subscribe(embedded, other)
    assert close_code(embedded) == ev.CloseCode.FORBIDDEN
    embedded.shutdown()
    again = [f"Sec-WebSocket-Protocol: arena.v1, ticket.{granted}", STRANGER]
    assert " 403 " in handshake(web.url, *HANDSHAKE, *again), "it is spent"


def test_a_ticket_is_stored_as_a_hash_and_expires(client: Client, redis_client: redis.Redis) -> None:
    granted = ticket(client, client.start("Why?"))
    (key,) = list(redis_client.scan_iter("arena:ticket:*"))
    assert granted.encode() not in key + redis_client.get(key)
    assert 0 < redis_client.ttl(key) <= 30


def test_only_the_owner_gets_a_ticket_and_not_from_another_site(web: Web, client: Client) -> None:
    battle = client.start("Mine.")
    stranger = Client(web.url)
    stranger.start("Theirs.")
    with pytest.raises(Refused, match="404 unknown_battle"):
        ticket(stranger, battle)
    for _ in range(30):
        ticket(client, battle)
    with pytest.raises(Refused, match="429 too_many_tickets"):
        ticket(client, battle)


@pytest.mark.parametrize("presented", ["", "x", "A" * 43, "../" * 10, "A" * 5000])
def test_a_ticket_nobody_issued_opens_nothing_even_for_ourselves(web: Web, client: Client, presented: str) -> None:
    said = handshake(web.url, *HANDSHAKE, PROTOCOL, f"Origin: {web.url}", path=f"/ws?ticket={presented}")
    assert any(f" {status} " in said for status in (403, 400, 414))


# ── memory ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_readers_that_do_not_read_cost_a_bounded_amount_of_memory(
    web: Web, client: Client, redis_client: redis.Redis
) -> None:
    """Four of them, and 12 MB of text for each: the process grows by less than a tenth of what they have not read."""
    battle = client.start("Why?")
    stuck = []
    for n in range(4):
        small = [(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)]
        stuck.append(connect(web, f"192.0.2.{n}", cookie=cookie(client), sockopt=small))
        subscribe(stuck[n], battle)
        receive(stuck[n], "snapshot")
    before = process(web).memory_info().rss
    texts = [f"{n} " + "word " * 400 for n in range(6000)]
    for start in range(0, len(texts), 100):
        channel.publish(redis_client, battle, [ev.SideDelta("a", text) for text in texts[start : start + 100]], 1)
    grown = process(web).memory_info().rss - before
    assert grown < 0.1 * 4 * sum(map(len, texts)), f"grew by {grown / 2**20:.0f} MiB"
    text, frames = read_whole(stuck[0], 1, 6001)
    assert text == "".join(texts)
    assert frames < 6000
    for socket in stuck:
        socket.shutdown()
