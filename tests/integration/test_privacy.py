"""The canary: what people and models write is looked for in everything the arena tells about itself.

Battles that end well, fail, are cancelled and go on, and chats, all run on the real processes; every prompt holds a
canary and every answer repeats it. By design it travels in the broker's messages and stands in the battles' live logs
and in the database. It may be nowhere else: not in a log at DEBUG, a metric, an event, a repr, an ``inspect``, a
message's headers, or any other key of Redis.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery

from ops.client import Client, Refused
from tests.integration.conftest import entry
from tests.processes import Stack, free_port, running, wait_for
from worker.contract import channel
from worker.contract.brokers import broker_url

CANARY = "canary-e81f0c"
ADMIN_KEY = "an-admin-key-for-this-test-only"
SAYS = ', text = "{prompt} it said. "'
CATALOG = (
    entry("ant", more=SAYS)
    + entry("bee", more=SAYS)
    + entry("slow", tokens_per_s=10, length=200, more=SAYS)
    + entry("dies", more=SAYS + ', fail = "midway"')
)


READERS: dict[str, Callable[[Any, bytes], Any]] = {
    "string": lambda client, key: client.get(key),
    "hash": lambda client, key: client.hgetall(key),
    "list": lambda client, key: client.lrange(key, 0, -1),
    "set": lambda client, key: client.smembers(key),
    "zset": lambda client, key: client.zrange(key, 0, -1, withscores=True),
    "stream": lambda client, key: client.xrange(key),
}


@dataclass
class Found:
    """Everything that was told, by where. ``battles``: whose live logs may hold the canary."""

    told: dict[str, str] = field(default_factory=dict)
    battles: list[str] = field(default_factory=list)

    def add(self, where: str, what: Any) -> None:
        self.told[where] = self.told.get(where, "") + (what if isinstance(what, str) else repr(what))


@pytest.fixture
def stack(tmp_path: Path, redis_url: str, redis_client: redis.Redis) -> Iterator[Stack]:
    (tmp_path / "catalog.toml").write_text(CATALOG)
    (tmp_path / "words.txt").write_text("unspeakable\n")
    stack = Stack(
        {
            "ARENA_REDIS_URL": redis_url,
            "ARENA_CATALOG": str(tmp_path / "catalog.toml"),
            "ARENA_LOG_LEVEL": "DEBUG",
            "ARENA_LOG_FORMAT": "json",
            "ARENA_V1_OPEN": "1",
            "ARENA_ADMIN_KEY": ADMIN_KEY,
            "ARENA_MODERATION_WORDS": str(tmp_path / "words.txt"),
            "ARENA_METRICS_ADDRESS": f"127.0.0.1:{free_port()}",
            "ARENA_RECORDS_METRICS_ADDRESS": f"127.0.0.1:{free_port()}",
            "ARENA_MAX_RESIDENT": "4",
            "ARENA_MAX_ATTEMPTS": "1",
        },
        tmp_path,
    )
    for celery in (stack.worker, stack.records):
        celery.command.append("-E")
        celery.command[celery.command.index("INFO")] = "DEBUG"
    stack.migrate()
    with running(stack.records, stack.worker, stack.web):
        stack.wait_ready()
        yield stack


@pytest.fixture
def found() -> Found:
    return Found()


@pytest.fixture
def events(redis_url: str, stack: Stack) -> Iterator[list[dict[str, Any]]]:
    """All of Celery's events while the test runs, from both kinds of workers."""
    heard: list[dict[str, Any]] = []
    with Celery(broker=broker_url(redis_url), set_as_current=False) as app, app.connection() as connection:
        receiver = app.events.Receiver(connection, handlers={"*": heard.append})

        def listen() -> None:
            with contextlib.suppress(OSError):
                for _ in receiver.consume(limit=None):
                    pass

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        wait_for("a worker's heartbeat", lambda: heard, 30)
        yield heard
        receiver.should_stop = True
        thread.join(10)


def post(url: str, path: str, body: Any, **headers: str) -> str:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url + path, data, {"Content-Type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as refusal:
        return str(refusal.code)


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return str(answer.read().decode())


def ended(client: Client, battle: str, *states: str) -> dict[str, Any]:
    def over() -> Any:
        now = client.request("GET", f"/api/battles/{battle}")
        return now if now["state"] in states else None

    return dict(wait_for(f"the battle to be {states}", over, 60))


def begin(client: Client, found: Found, *models: str) -> str:
    body = {"prompt": f"why {CANARY} now?", "models": list(models), "sampling": {"stop": [f"{CANARY}-stop"]}}
    battle: str = client.request("POST", "/api/battles", body)["id"]
    found.battles.append(battle)
    return battle


def run_battles(stack: Stack, client: Client, found: Found, inspect: Callable[[], None]) -> None:
    """One of each kind; ``inspect`` is called while one runs and another waits for nothing but its end."""
    good = begin(client, found, "ant", "bee")
    assert CANARY in ended(client, good, "finished")["turns"][0]["a"]["text"]
    client.request("POST", f"/api/battles/{good}/turns", {"prompt": f"and {CANARY} then?"})
    ended(client, good, "finished")
    client.request("POST", f"/api/battles/{good}/vote", {"winner": "a", "comment": f"because {CANARY}"})

    failed = begin(client, found, "ant", "dies")
    ended(client, failed, "failed")

    stopped = begin(client, found, "slow", "ant")
    wait_for("text", lambda: CANARY in client.request("GET", f"/api/battles/{stopped}")["turns"][0]["a"]["text"], 30)
    inspect()
    client.request("POST", f"/api/battles/{stopped}/cancel", {})
    ended(client, stopped, "cancelled")

    chat = {"model": "ant", "messages": [{"role": "user", "content": f"why {CANARY}?"}]}
    assert CANARY in post(stack.private_url, "/v1/chat/completions", chat)
    assert CANARY in post(stack.private_url, "/v1/chat/completions", {**chat, "stream": True})


def ask_for_trouble(stack: Stack, client: Client) -> None:
    """What goes wrong with the canary in it."""
    with pytest.raises(Refused, match="prompt_refused"):
        client.request("POST", "/api/battles", {"prompt": f"{CANARY} is unspeakable"})
    assert post(stack.url, "/api/battles", {"prompt": "x", CANARY: CANARY}) == "422"
    assert post(stack.url, "/api/battles", f'{{"prompt": "{CANARY}'.encode()) == "400"
    assert post(stack.url, f"/api/{CANARY}?q={CANARY}", {}, **{"User-Agent": CANARY, "X-Request-Id": CANARY}) == "404"
    bad = {"model": "nobody", "messages": [{"role": "user", "content": CANARY}]}
    assert post(stack.private_url, "/v1/chat/completions", bad) == "404"
    with socket.create_connection(("127.0.0.1", stack.port), timeout=10) as raw:
        # A length that is too short leaves the rest of the prompt where the next request's first line is due.
        said = f"POST /api/battles HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n{CANARY} {CANARY}\r\n\r\n"
        raw.sendall(said.encode())
        while raw.recv(4096):
            pass


def inspected(stack: Stack, redis_url: str, client: redis.Redis, found: Found) -> None:
    """What operators see while a battle runs; and the messages in workers' hands, without their bodies."""
    tasks = [raw for hash_ in (b"unacked", b"arena:records:unacked") for raw in client.hvals(hash_)]
    assert tasks, "nothing is in a worker's hands"
    for raw in tasks:
        message = json.loads(raw)[0]
        found.add("message headers", json.dumps({**message, "body": ""}))
    for exchange, mine in (("arena.worker", ("battles", "queue", "engines", "memory", "plan")), ("arena.records", ())):
        with Celery(broker=broker_url(redis_url), set_as_current=False) as app:
            app.conf.control_exchange = exchange
            ask = app.control.inspect(timeout=10, limit=1)
            active = ask.active()
            assert active, f"no answer over {exchange}"
            if exchange == "arena.worker":
                (task,) = (t for tasks in active.values() for t in tasks)
                assert task["name"] == "worker.run_battle"
                found.add("query_task", app.control.inspect(timeout=10, limit=1).query_task([task["id"]]))
            found.add("active", active)
            for command in ("reserved", "scheduled", "stats", "conf", "registered"):
                found.add(command, getattr(app.control.inspect(timeout=10, limit=1), command)())
            for name in mine:
                found.add(name, app.control.broadcast(name, reply=True, timeout=10, limit=1))


def redis_told(client: redis.Redis, allowed: list[str]) -> Iterator[tuple[str, str]]:
    """Every key with its whole content; ``allowed`` are left out."""
    for key in client.scan_iter(count=1000):
        if key.decode() in allowed:
            continue
        kind = client.type(key).decode()
        yield key.decode(), repr(READERS[kind](client, key))  # a new kind of key needs a reader: KeyError


def test_nothing_that_was_written_is_in_what_the_arena_tells_about_itself(
    stack: Stack, events: list[dict[str, Any]], redis_url: str, redis_client: redis.Redis, found: Found
) -> None:
    client = Client(stack.url)
    run_battles(stack, client, found, lambda: inspected(stack, redis_url, redis_client, found))
    ask_for_trouble(stack, client)
    wait_for("results to be stored", lambda: not redis_client.exists("battles", "records", "unacked"), 30)
    wait_for("the vote's refresh", lambda: "records.refresh_ratings" in repr(events), 30)

    found.add("web metrics", get(f"{stack.private_url}/metrics"))
    found.add("worker metrics", get(f"http://{stack.env['ARENA_METRICS_ADDRESS']}/metrics"))
    found.add("records metrics", get(f"http://{stack.env['ARENA_RECORDS_METRICS_ADDRESS']}/metrics"))
    for at in ("/health", "/ready"):
        found.add("health", get(stack.private_url + at))
    found.add("events", events)
    for process in (stack.web, stack.worker, stack.records):
        found.add(f"{process.name} log", process.text())
    allowed = [channel.log_key(b) for b in found.battles]
    for key, content in redis_told(redis_client, allowed):
        found.add(f"redis {re.sub('[A-Za-z0-9_-]{16,}', '…', key)}", content)

    assert any(CANARY in repr(redis_client.xrange(key)) for key in allowed), "the canary went nowhere at all"
    kinds = {e["type"] for e in events}
    assert {"task-received", "task-started", "task-succeeded", "worker-heartbeat"} <= kinds
    assert "records.finished" in repr(events)
    assert '"level":"debug"' in found.told["web log"]
    assert {where: text.count(CANARY) for where, text in found.told.items() if CANARY in text} == {}


def test_one_request_can_be_followed_through_all_logs_and_every_line_is_json(
    stack: Stack, redis_client: redis.Redis, found: Found
) -> None:
    client = Client(stack.url)
    battle = begin(client, found, "ant", "bee")
    ended(client, battle, "finished")
    wait_for(
        "records to be done", lambda: "records.finished" in stack.records.text() and "succeeded" in stack.records.text()
    )
    request = next(line["request"] for line in lines(stack.web.text()) if line.get("route") == "/api/battles")
    assert any(line.get("battle") == battle for line in lines(stack.web.text()) if line.get("request") == request)
    for process in (stack.worker, stack.records):
        about = [line for line in lines(process.text()) if line.get("request") == request]
        assert about, f"{process.name} says nothing of request {request}"
        assert {line.get("battle") for line in about} == {battle}
        assert all(line["task"] for line in about)
    web = stack.web.text().splitlines()
    assert [line for line in web if not line.startswith("{")] == []
    assert not any("127.0.0.1" in line for line in web if '"web.access"' in line)


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]
