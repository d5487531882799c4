"""Every way the server ends a socket reaches a browser as a clean close with its code, never as a broken line."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.redis_server import private_redis
from tests.sockets import Web, web_process
from worker.contract import events as ev

TALK = """
async ({protocol, said}) => {
  const socket = new WebSocket(`ws://${location.host}/ws`, protocol);
  const types = [];
  socket.onmessage = ({data}) => {
    types.push(JSON.parse(data).type);
    if (types.length > 1) return;
    window.greeted = true;
    said.forEach((text) => socket.send(typeof text === "string" ? text : new Uint8Array(text)));
  };
  return await new Promise((resolve) => {
    socket.onclose = ({code, reason, wasClean}) => resolve({code, reason, wasClean, types});
  });
}
"""


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    with private_redis(tmp_path) as url, web_process(url, tmp_path, ARENA_MAX_SOCKETS_PER_SESSION="1") as made:
        yield made


@pytest.fixture
def visitor(page: Page, web: Web) -> Page:
    """On a page without a socket of its own, under the arena's policy, with a session."""
    page.goto(web.url)
    page.goto(web.url + "/about")
    return page


def talk(page: Page, *said: Any, protocol: str = ev.SUBPROTOCOL) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate(TALK, {"protocol": protocol, "said": list(said)})
    return found


def begin(page: Page) -> None:
    """Open a socket that stays; its end is what ``window.ended`` comes to."""
    page.evaluate(f"(how) => {{ window.ended = ({TALK})(how); }}", {"protocol": ev.SUBPROTOCOL, "said": []})
    page.wait_for_function("() => window.greeted")


def test_every_refusal_is_a_clean_close_with_its_code(visitor: Page) -> None:
    refused = {
        "not JSON": (["nonsense"], ev.CloseCode.BAD_MESSAGE),
        "binary": ([[1, 2, 3]], ev.CloseCode.BAD_MESSAGE),
        "a command": (['{"type": "vote", "battle": "AAAAAAAAAAAAAAAAAAAAAA"}'], ev.CloseCode.BAD_MESSAGE),
        "too big": (["x" * 70_000], ev.CloseCode.TOO_BIG),
        "unknown": ([json.dumps({"type": "subscribe", "battle": "A" * 22})], ev.CloseCode.UNKNOWN),
    }
    closed = {name: talk(visitor, *said) for name, (said, _) in refused.items()}
    assert {n: (c["code"], c["wasClean"]) for n, c in closed.items()} == {n: (c, True) for n, (_, c) in refused.items()}
    assert all("error" in c["types"] for c in closed.values()), "why is said in words first"


def test_who_goes_on_talking_learns_the_code_all_the_same(visitor: Page) -> None:
    """A browser calls it unclean whenever it still had something to send."""
    assert talk(visitor, *['{"type": "ping"}'] * 100)["code"] == ev.CloseCode.LIMITED
    assert talk(visitor, *["nonsense"] * 2000)["code"] == ev.CloseCode.BAD_MESSAGE
    assert talk(visitor, "x" * 2_000_000)["code"] == ev.CloseCode.TOO_BIG


def test_so_is_one_socket_too_many(visitor: Page) -> None:
    begin(visitor)
    closed = talk(visitor)
    assert (closed["code"], closed["wasClean"], closed["types"]) == (ev.CloseCode.LIMITED, True, ["error"])


def test_so_is_a_deploy(visitor: Page, web: Web) -> None:
    begin(visitor)
    web.process.signal(signal.SIGTERM)
    closed = visitor.evaluate("() => window.ended")
    assert (closed["code"], closed["wasClean"]) == (ev.CloseCode.GOING_AWAY, True)
    assert closed["types"] == ["hello", "bye"]
    assert web.process.wait(15) == 0, "the browser's idle connections are waited for"
