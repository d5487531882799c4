"""A small Python client of the arena: what a browser does, for benches and acceptance tests."""

from __future__ import annotations

import http.cookiejar
import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import msgspec
import websocket

from worker.contract import events as ev
from worker.contract.view import fold_all


class Refused(Exception):  # noqa: N818
    """The arena answered with a problem."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        super().__init__(f"{status} {problem.get('code')}: {problem.get('detail')}")
        self.status = status
        self.problem = problem


@dataclass(slots=True)
class Watched:
    """A battle as it arrived: ``events`` with seconds since the watch began; ``raw`` every byte of the socket."""

    events: list[tuple[float, ev.StoredEvent]] = field(default_factory=list)
    raw: list[str] = field(default_factory=list)
    view: ev.BattleView = field(default_factory=ev.BattleView)
    epoch: str = ""
    seq: int = 0

    def first_token_s(self, side: ev.Side) -> float | None:
        """Seconds until the first text of ``side`` arrived; None if it never did."""
        return next((t for t, e in self.events if isinstance(e, ev.SideDelta) and e.side == side), None)


class Client:
    """One anonymous visitor: keeps its cookies."""

    def __init__(self, url: str, timeout: float = 30.0) -> None:
        self.url = url.rstrip("/")
        self.timeout = timeout
        self.cookies = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))
        self.seen: list[bytes] = []
        """Every header and body received, for the blindness check."""

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """JSON in, JSON out. Raises Refused for a problem, URLError when nobody answers."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "Origin": self.url}
        request = urllib.request.Request(self.url + path, data, headers, method=method)  # noqa: S310
        try:
            with self._opener.open(request, timeout=self.timeout) as answer:
                raw: bytes = answer.read()
                self.seen += [str(answer.headers).encode(), raw]
                return json.loads(raw) if raw else None
        except urllib.error.HTTPError as error:
            raw = error.read()
            self.seen += [str(error.headers).encode(), raw]
            try:
                problem = json.loads(raw)
            except ValueError:
                problem = {"detail": raw[:200].decode(errors="replace")}
            raise Refused(error.code, problem) from None

    def visit(self, path: str = "/") -> None:
        """Load a page; with the arena's own a session begins."""
        with self._opener.open(self.url + path, timeout=self.timeout) as page:
            self.seen += [str(page.headers).encode(), page.read()]

    def start(self, prompt: str) -> str:
        """Start a battle; its id."""
        return str(self.request("POST", "/api/battles", {"prompt": prompt})["id"])

    def battle(self, battle: str) -> Any:
        return self.request("GET", f"/api/battles/{battle}")

    def vote(self, battle: str, winner: str) -> Any:
        return self.request("POST", f"/api/battles/{battle}/vote", {"winner": winner})

    def connect(self) -> websocket.WebSocket:
        """An open socket on ``/ws``, as a page of the same origin would open it."""
        parts = urlsplit(self.url)
        cookie = "; ".join(f"{c.name}={c.value}" for c in self.cookies)
        return websocket.create_connection(
            f"ws{'s' if parts.scheme == 'https' else ''}://{parts.netloc}/ws",
            subprotocols=[ev.SUBPROTOCOL],
            cookie=cookie,
            origin=self.url,
            timeout=self.timeout,
        )

    def watch(
        self,
        battle: str,
        timeout: float = 90.0,
        until: Any = None,
        watched: Watched | None = None,
        socket: websocket.WebSocket | None = None,
    ) -> Watched:
        """Follow a battle until it has ended (or ``until(event)``); pass what was ``watched`` to resume from there.

        Of a battle that had ended before, with what was waited for or without it, there is only the snapshot.
        ``socket``: one that is open already; it is closed in the end, like one of its own.
        """
        seen = watched or Watched()
        began = time.monotonic()
        socket = socket or self.connect()
        try:
            ask = ev.Subscribe(battle, seen.epoch or None, seen.seq if seen.epoch else None)
            socket.send(ev.encode(ask).decode())
            while True:
                if time.monotonic() - began > timeout:
                    raise TimeoutError(f"battle {battle} did not end within {timeout:.0f} s: {seen.view.state}")
                text = str(socket.recv())
                if not text:
                    raise ConnectionError(f"the socket closed: {socket.getstatus()}")
                seen.raw.append(text)
                if self._take(socket, seen, text, time.monotonic() - began, until):
                    return seen
        finally:
            socket.close()

    def _take(self, socket: websocket.WebSocket, seen: Watched, text: str, now: float, until: Any) -> bool:
        data = json.loads(text)
        event = _stored(text)
        if event is None:
            match message := ev.decode_socket(text):
                case ev.Snapshot():
                    seen.view, seen.epoch, seen.seq = message.view, message.epoch, message.seq
                    return message.view.state in ("finished", "failed", "cancelled")
                case ev.Batch():
                    assert message.seq - message.n == seen.seq, "a batch must continue where we are"
                    seen.seq = message.seq
                    seen.view = fold_all(message.events, seen.view)
                    seen.events += [(now, e) for e in message.events]
                    return any(_ends(e, until) for e in message.events)
                case ev.Resumed():
                    seen.seq, seen.epoch = message.seq, message.epoch
                case ev.Ping(n=n):
                    socket.send(ev.encode(ev.Pong(n)).decode())
                case ev.Error():
                    raise Refused(0, {"code": message.code, "detail": message.message})
            return False
        assert data["seq"] == seen.seq + 1, f"seq {data['seq']} after {seen.seq}"
        seen.seq = data["seq"]
        seen.view = fold_all([event], seen.view)
        seen.events.append((now, event))
        return _ends(event, until)


def _stored(text: str) -> ev.StoredEvent | None:
    try:
        return ev.decode_event(text)
    except msgspec.DecodeError:
        return None


def _ends(event: ev.StoredEvent, until: Any) -> bool:
    if until is not None:
        return bool(until(event))
    return isinstance(event, ev.BattleVotable | ev.BattleFailed | ev.BattleCancelled)
