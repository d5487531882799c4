"""The arena page with its socket played by a script: every state at will, without waiting for it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from playwright.sync_api import Page, Route, WebSocketRoute

from worker.contract import events as ev
from worker.contract.view import fold_all

BATTLE = "b" * 22
PROMPT = "Why are there infinitely many primes?"
ANSWER_A = "## In short\n\nAssume *finitely* many.\n\n```python\ndef sieve(n: int) -> list[int]:\n    return []\n```\n"
ANSWER_B = (
    "Multiply them **all**, add one.\n\n| n | next |\n|---|---|\n| 2 | 3 |\n\n1. See [Euclid](https://example.org).\n"
)
MODELS = ev.RevealedModels(
    a=ev.ModelFacts(
        id="one",
        name="SmolLM2 135M Instruct",
        maker="Hugging Face",
        licence="Apache-2.0",
        terms_url="https://example.org/licence",
        parameters="135M",
        quantization="8-bit",
        completion_tokens=312,
        tokens_per_s=23.4,
        first_token_s=0.82,
        rating=1012.4,
    ),
    b=ev.ModelFacts(id="two", name="Qwen2.5 Coder 0.5B", maker="Alibaba Cloud", licence="Apache-2.0"),
)
STARTED = (ev.SideStarted(side="a"), ev.SideStarted(side="b"))
WRITTEN = (
    ev.SideDelta(side="a", text=ANSWER_A),
    ev.SideDelta(side="b", text=ANSWER_B),
    ev.SideDone(side="a", finish_reason="stop"),
    ev.SideDone(side="b", finish_reason="length"),
)


class Script:
    """Open with :meth:`open`, then :meth:`tell` it events."""

    def __init__(self, page: Page, url: str) -> None:
        self._page = page
        self._url = url
        self._socket: WebSocketRoute | None = None
        self._told: list[ev.StoredEvent] = [ev.TurnStarted(turn=1, prompt=PROMPT)]
        page.route_web_socket("**/ws", self._meet)
        page.route(f"**/api/battles/{BATTLE}", _begun_now)
        page.route("**/api/leaderboard", lambda route: route.fulfill(json={"updated_at": None, "models": []}))

    def open(self) -> None:
        self._page.goto(f"{self._url}/battles/{BATTLE}")
        self._page.get_by_text(PROMPT).wait_for()

    def restart(self) -> None:
        """The battle at its beginning again, on a page opened anew."""
        del self._told[1:]
        self.open()

    def tell(self, *events: ev.StoredEvent) -> None:
        assert self._socket is not None
        for event in events:
            self._told.append(event)
            frame = {"battle": BATTLE, "seq": len(self._told), **json.loads(ev.encode(event))}
            self._socket.send(json.dumps(frame))

    def drop(self, code: int) -> None:
        """End the line as the server would."""
        assert self._socket is not None
        self._socket.close(code=code)

    def _meet(self, socket: WebSocketRoute) -> None:
        self._socket = socket
        socket.on_message(lambda text: self._answer(json.loads(text)))
        self._send(ev.Hello(protocol=ev.SUBPROTOCOL, heartbeat_s=20, server_time=0))

    def _answer(self, message: dict[str, Any]) -> None:
        if message["type"] != "subscribe":
            return
        seq = len(self._told)
        if message.get("after") == seq:
            self._send(ev.Resumed(battle=BATTLE, epoch="e", seq=seq))
        else:
            self._send(ev.Snapshot(battle=BATTLE, epoch="e", seq=seq, view=fold_all(self._told)))

    def _send(self, message: Any) -> None:
        assert self._socket is not None
        self._socket.send(ev.encode(message).decode())


def _begun_now(route: Route) -> None:
    """What the page asks to learn since when somebody waits."""
    moment = datetime.now(UTC).replace(microsecond=0)
    told = {"created_at": moment.isoformat(), "voted_at": None, "ranked": True}
    route.fulfill(json=told, headers={"Date": format_datetime(moment, usegmt=True)})
