"""The installed programs, started as their units say, behind real nginx with TLS: what visitors and callers get."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import ssl
import stat
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import websocket

from ops.client import Client, Refused
from ops.install import health, secrets
from tests.ops.host.conftest import INSTALLED_TIMES, PATIENCE, Installed, ready
from tests.processes import wait_for
from worker.contract import events as ev

SILENT_S = 2.0 * float(PATIENCE["READ_S"]) + 0.5


@pytest.fixture
def visitor(running: Installed, monkeypatch: pytest.MonkeyPatch) -> Client:
    """A browser that trusts the first certificate."""
    chain = str(running.host.etc / "tls" / "fullchain.pem")
    monkeypatch.setenv("SSL_CERT_FILE", chain)
    monkeypatch.setenv("WEBSOCKET_CLIENT_CA_BUNDLE", chain)
    return Client(running.url)


def test_a_battle_is_streamed_through_tls_and_voted(visitor: Client) -> None:
    visitor.visit()
    battle = visitor.start("Why is the sky blue?")
    watched = visitor.watch(battle, until=lambda e: isinstance(e, ev.BattleVotable))
    assert {e.side for _, e in watched.events if isinstance(e, ev.SideDelta)} == {"a", "b"}
    told = visitor.vote(battle, "a")
    assert told["winner"] == "a"
    cookies = {c.name: c for c in visitor.cookies}
    assert any(name.startswith("__Host-") and c.secure for name, c in cookies.items()), "web knows that it is over TLS"


def test_each_program_runs_as_its_own_user_and_can_write_only_what_is_its_own(running: Installed) -> None:
    host = running.host
    seen = set()
    for name, process in running.processes.items():
        status = Path(f"/proc/{process.pid}/status").read_text()
        uid = int(status.split("Uid:")[1].split()[0])
        assert uid == host.ids(process.unit.one("User"))[0], name
        assert "NoNewPrivs:\t1" in status, name
        assert "CapBnd:\t0000000000000000" in status, name
        seen.add(uid)
    assert len(seen) == len(running.processes)
    assert stat.S_IMODE(host.socket.stat().st_mode) == 0o770
    shared = running.processes["vllm-arena"].unit
    with pytest.raises(PermissionError):
        os.close(_as(host.ids(shared.one("User")), host.etc / "web.env"))


def _as(ids: tuple[int, int], file: Path) -> int:
    """Open a file as another user, in this thread of the kernel's alone."""
    import subprocess

    done = subprocess.run(["cat", file], user=ids[0], group=ids[1], extra_groups=[], capture_output=True, check=False)
    if done.returncode:
        raise PermissionError(done.stderr)
    return os.open(file, os.O_RDONLY)


def test_the_workers_account_cannot_reach_what_is_webs(running: Installed) -> None:
    with redis.Redis.from_url(secrets.redis_urls(running.host)["worker"]) as worker:
        with pytest.raises(redis.exceptions.NoPermissionError):
            worker.config_get("maxmemory-policy")
        with pytest.raises(redis.exceptions.NoPermissionError):
            worker.keys("*")
    with running.redis() as admin:
        assert admin.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert admin.config_get("appendonly") == {"appendonly": "yes"}


def test_http_leads_to_https_and_http2_is_spoken(running: Installed) -> None:
    options = running.host.options
    with socket.create_connection(("127.0.0.1", options.http_port), timeout=10) as line:
        line.sendall(b"GET /leaderboard?x=1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        said = line.makefile().read()
    assert said.startswith("HTTP/1.1 308 ")
    assert f"Location: {running.url}/leaderboard?x=1" in said
    context = ssl.create_default_context(cafile=str(running.host.etc / "tls" / "fullchain.pem"))
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("127.0.0.1", options.https_port), timeout=10) as line,
        context.wrap_socket(line, server_hostname="localhost") as secured,
    ):
        assert secured.selected_alpn_protocol() == "h2"
        assert secured.version() in ("TLSv1.2", "TLSv1.3")


def test_inside_models_are_asked_by_name_without_a_key_and_outside_not(running: Installed, visitor: Client) -> None:
    told = health.ask(f"{running.inside}/v1/models")
    models = [m["id"] for m in told["data"]]
    assert len(models) >= 2
    body = {"model": models[0], "messages": [{"role": "user", "content": "test"}], "stream": True}
    request = urllib.request.Request(
        f"{running.inside}/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        lines = [line for line in answer if line.startswith(b"data:")]
    assert lines[-1].strip() == b"data: [DONE]"
    assert len(lines) > 5, "a stream comes in pieces, not as one"
    with pytest.raises(Refused) as refused:
        visitor.request("GET", "/v1/models")
    assert refused.value.status == 401
    with pytest.raises(Refused) as hidden:
        visitor.request("GET", "/metrics")
    assert hidden.value.status == 404


def test_a_stream_may_be_silent_for_longer_than_an_ordinary_answer(visitor: Client) -> None:
    visitor.visit()
    battle = visitor.start("Say something.")
    visitor.watch(battle, until=lambda e: isinstance(e, ev.BattleVotable))
    silent(visitor, battle, SILENT_S)


def silent(visitor: Client, battle: str, seconds: float) -> None:
    """A socket and an event stream on which nothing is told, only heartbeats answered, are still there for the vote."""
    line = visitor.connect()
    line.send(ev.encode(ev.Subscribe(battle, None, None)).decode())
    events = visitor._opener.open(f"{visitor.url}/api/battles/{battle}/events", timeout=30)
    revealed = threading.Event()
    listening = threading.Thread(target=_listen, args=(line, revealed))
    try:
        _until(events, b"snapshot")
        listening.start()
        assert not revealed.wait(seconds)
        assert listening.is_alive(), "the socket was closed"
        visitor.vote(battle, "tie")
        _until(events, b"battle.revealed")
        assert revealed.wait(30)
    finally:
        line.shutdown()
        events.close()
        listening.join()


def _listen(line: Any, revealed: threading.Event) -> None:
    """As a browser does: heartbeats are answered, by itself and in the arena's words."""
    with contextlib.suppress(OSError, websocket.WebSocketException):
        while text := line.recv():
            if "battle.revealed" in text:
                revealed.set()
                return
            if json.loads(text)["type"] == "ping":
                line.send(ev.encode(ev.Pong(json.loads(text)["n"])).decode())


def _until(lines: Iterator[bytes], word: bytes) -> None:
    for one in lines:
        if word in one:
            return
    raise AssertionError(f"the stream ended before {word!r}")


@pytest.mark.long
def test_a_stream_may_be_silent_for_ten_minutes(running: Installed, visitor: Client) -> None:
    """With nginx's own times, as they are installed."""
    from ops.install import site

    host = running.host
    for name, text in site.render(host, {**INSTALLED_TIMES, **site.LIMITS}).items():
        host.write(host.etc / "nginx" / name, text)
    running.processes["arena-nginx"].signal(signal.SIGHUP)
    visitor.visit()
    battle = visitor.start("Say something.")
    visitor.watch(battle, until=lambda e: isinstance(e, ev.BattleVotable))
    silent(visitor, battle, 600.0)


@pytest.mark.long
def test_nobody_is_refused_while_web_is_started_anew(running: Installed) -> None:
    """systemd holds the sockets, so who comes meanwhile waits a moment."""
    failures: list[str] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            try:
                urllib.request.urlopen(f"{running.inside}/health", timeout=60).close()
            except OSError as error:
                failures.append(str(error))

    asking = [threading.Thread(target=ask) for _ in range(3)]
    for thread in asking:
        thread.start()
    web = running.processes["arena-web"]
    web.signal(signal.SIGTERM)
    web.wait(30)
    web.start()
    wait_for("web to be back", ready(running), 60, web)
    over.set()
    for thread in asking:
        thread.join()
    assert failures == []


def test_a_flood_from_one_address_is_refused_in_the_arenas_form(running: Installed, visitor: Client) -> None:
    statuses: list[tuple[int, Any]] = []

    def ask() -> None:
        for _ in range(60):
            try:
                visitor.request("GET", "/api/leaderboard?limit=1")
            except Refused as refused:
                statuses.append((refused.status, refused.problem))

    asking = [threading.Thread(target=ask) for _ in range(6)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert statuses, "360 are more than the 60 that one address may send at once"
    assert {s for s, _ in statuses} == {429}
    assert {p["code"] for _, p in statuses} == {"rate_limited"}
