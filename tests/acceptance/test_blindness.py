"""Fifty battles, failures included, while ``/v1`` names its models beside them: no byte before a vote names one."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import random
import re
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ops.client import Client, Refused
from tests.openai_stub import Call, Stub, refuse, serving
from tests.processes import Stack, arena
from tests.redis_server import private_redis
from worker.contract import events as ev

VISITORS = 6
NAMES = ("quartz", "zircon", "beryl", "garnet", "opal", "topaz")
ECHO = {
    "quartz": "tokens_per_s = 300, length = 40, seed = 1",
    "zircon": "tokens_per_s = 90, first_token_s = 0.3, length = 60, seed = 2",
    "beryl": 'tokens_per_s = 200, length = 40, seed = 3, fail = "midway"',
    "garnet": 'tokens_per_s = 200, length = 40, seed = 4, fail = "start"',
    "opal": "tokens_per_s = 200, load_s = 0.3, length = 40, seed = 5, lifespan = 4",
}
ENTRY = """
[[models]]
id = "{n}-x41b"
name = "{N} Wonder"
maker = "{N} Works"
family = "{n}family"
aliases = ["{n}alias"]
licence = "{N} Licence"
parameters = "41.7B{n}"
{engine}
"""
REMOTE = 'engine = "remote"\nremote = {{base_url = "{url}", model = "topaz-9000", api_key_env = "TOPAZ_KEY"}}'
TELLING = ("wonder", "works", "x41b", "41.7b", "topaz-9000", "sk-far", "stub-says", "127.0.0.1:{port}", "echo", "vllm")
"""What else tells a model: its provider's words and address, kinds of engines, sizes. Looked for where a word begins:
random ids hold any four letters sooner or later."""


@pytest.fixture(scope="module")
def stub() -> Iterator[Stub]:
    with serving() as served:
        served.models = ["topaz-9000"]
        good, count = served.reply, iter(range(10**6))

        def now_and_then(call: Call) -> None:
            if next(count) % 2:
                refuse(429, {"error": {"message": "stub-says topaz-9000 is over its quota"}})(call)
            else:
                good(call)

        served.reply = now_and_then
        yield served


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, stub: Stub) -> Iterator[Stack]:
    folder = Path(tmp_path_factory.mktemp("blind"))
    engines = {n: f'engine = "echo"\necho = {{{script}}}' for n, script in ECHO.items()}
    engines["topaz"] = REMOTE.format(url=stub.url)
    entries = [ENTRY.format(n=n, N=n.title(), engine=engines[n]) for n in NAMES]
    (folder / "catalog.toml").write_text("".join(entries))
    with private_redis(folder) as url:
        env = {
            "ARENA_REDIS_URL": url,
            "ARENA_CATALOG": str(folder / "catalog.toml"),
            "ARENA_V1_OPEN": "1",
            "ARENA_FAIL_BACKOFF_S": "0.2",
            "ARENA_PATIENCE_S": "3",
            "ARENA_MAX_ATTEMPTS": "2",
            "ARENA_SAMPLING": "uniform",
            "TOPAZ_KEY": "sk-far",
            "NO_PROXY": "127.0.0.1",
        }
        with arena(env, folder) as running:
            yield running


class Visitor:
    """One session that asks for everything it may ask for, and keeps every byte it is given until it votes."""

    def __init__(self, url: str, number: int) -> None:
        self.client = Client(url, timeout=60)
        self.dice = random.Random(number)
        self.heard: list[str] = []
        self.states: list[str] = []

    def battle(self, number: int) -> str:
        """What the vote told, empty where there was nothing to vote."""
        client = self.client
        with contextlib.suppress(Refused):
            battle = client.start(f"Say something about number {number}.")
            self._look(battle)
            socket = client.connect()
            self.heard.append(json.dumps(dict(socket.headers or {})))
            watched = client.watch(battle, socket=socket)
            self.heard += watched.raw
            self.heard.append(self._events(battle))
            if self.dice.random() < 0.4:
                self._again(battle)
            self._look(battle)
            self.states.append(client.battle(battle)["state"])
            with contextlib.suppress(Refused):
                before = len(client.seen)
                voted = client.vote(battle, self.dice.choice(("a", "b", "tie")))
                self.heard += [seen.decode() for seen in client.seen[:before]]
                client.seen.clear()
                return json.dumps(voted)
        return ""

    def _look(self, battle: str) -> None:
        place = f"/api/battles/{battle}"
        asks: list[tuple[str, str, Any]] = [
            ("GET", place, None),
            ("GET", f"{place}/nothing", None),
            ("POST", f"{place}/vote", {"winner": "neither"}),
            ("POST", f"{place}/share", None),
            ("POST", f"{place}/ticket", None),
            ("POST", "/api/battles", {"prompt": ""}),
            ("PUT", place, {}),
            ("GET", "/ready", None),
            ("GET", "/metrics", None),
        ]
        for method, path, body in asks:
            with contextlib.suppress(Refused):
                self.client.request(method, path, body)
        self.client.visit(f"/battles/{battle}")

    def _again(self, battle: str) -> None:
        """A retry, or another turn, whichever this battle allows."""
        for path, body in (("retry", {}), ("turns", {"prompt": "And then?"})):
            with contextlib.suppress(Refused):
                self.client.request("POST", f"/api/battles/{battle}/{path}", body)
                self.heard += self.client.watch(battle, until=_ended).raw
                return

    def _events(self, battle: str) -> str:
        """The battle as server-sent events, up to its end."""
        cookie = "; ".join(f"{c.name}={c.value}" for c in self.client.cookies)
        asked = urllib.request.Request(f"{self.client.url}/api/battles/{battle}/events", headers={"Cookie": cookie})
        with urllib.request.urlopen(asked, timeout=60) as answer:
            said = str(answer.headers)
            for line in answer:
                said += line.decode()
                if line.startswith(b"data:"):  # the snapshot has all of it
                    return said
        return said


def _ended(event: ev.StoredEvent) -> bool:
    return isinstance(event, ev.BattleVotable | ev.BattleFailed | ev.BattleCancelled)


def chats(stack: Stack, over: threading.Event) -> int:
    """Ask models by their names until it is over; how many answered."""
    answered = 0
    while not over.is_set():
        for name in ("quartz", "zircon"):
            body = {"model": f"{name}-x41b", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 20}
            asked = urllib.request.Request(
                f"{stack.private_url}/v1/chat/completions",
                json.dumps(body).encode(),
                {"Content-Type": "application/json"},
            )
            with contextlib.suppress(OSError), urllib.request.urlopen(asked, timeout=60) as answer:
                answered += json.load(answer)["model"] == f"{name}-x41b"
    return answered


@pytest.mark.parametrize("battles", [20, pytest.param(50, marks=pytest.mark.long)])
def test_battles_tell_nothing_before_the_vote(stack: Stack, stub: Stub, battles: int) -> None:
    visitors = [Visitor(stack.url, n) for n in range(VISITORS)]
    over = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(VISITORS + 1) as threads:
        beside = threads.submit(chats, stack, over)
        play: Callable[[int], list[str]] = lambda n: [  # noqa: E731
            visitors[n].battle(number) for number in range(n, battles, VISITORS)
        ]
        try:
            told = [vote for votes in threads.map(play, range(VISITORS)) for vote in votes]
        finally:
            over.set()
        chatted = beside.result()

    states = [state for v in visitors for state in v.states]
    assert len(states) >= battles * 0.9, "nearly all were begun"
    assert states.count("failed") >= battles / 10, "failures were among them"
    assert chatted >= 5, "/v1 answered beside"
    words = {*NAMES, *(w.format(port=stub.url.rsplit(":", 1)[1].partition("/")[0]) for w in TELLING)}
    revealed = "".join(told).lower()
    assert all(n in revealed for n in ("quartz", "zircon")), "the vote names them, so the words are the right ones"
    heard = [text for v in visitors for text in (*v.heard, *(seen.decode() for seen in v.client.seen))]
    assert sum(map(len, heard)) > 1000 * battles
    telling = re.compile("|".join(rf"(?<![a-z0-9]){re.escape(word)}" for word in sorted(words)))
    assert [(found[0], text[:400]) for text in heard if (found := telling.search(text.lower()))] == []
