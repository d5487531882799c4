"""A real web process and what a client says to it and hears from it, for the tests of sockets and event streams."""

from __future__ import annotations

import contextlib
import json
import socket as sockets
import struct
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import websocket

from tests.processes import ROOT, Process, free_port, running, wait_for
from web.migrate import upgrade

HANDSHAKE = ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"]
PROTOCOL = "Sec-WebSocket-Protocol: arena.v1"
LEFT_BY_ITSELF = "Worker exiting"
"""In the log of a web process that was not killed over what it still held."""


class Web:
    """gunicorn as shipped, on a database of its own; the worker's part is played by publishing to the log."""

    def __init__(self, redis_url: str, folder: Path, **env: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.folder = folder
        self.redis_url = redis_url
        upgrade(f"sqlite:///{folder / 'arena.sqlite3'}")
        settings = {
            "ARENA_REDIS_URL": redis_url,
            "ARENA_DATA_DIR": str(folder),
            "ARENA_LIMITS": "off",
            "ARENA_CATALOG": str(ROOT / "ops/catalogs/echo.toml"),
            "ARENA_BIND": f"127.0.0.1:{self.port}",
            **env,
        }
        command = [sys.executable, "-m", "gunicorn", "-c", "ops/gunicorn.conf.py", "web:create_app()"]
        self.process = Process("web", command, settings, folder)

    def start(self) -> Web:
        self.process.start()
        self.wait_up()
        return self

    def wait_up(self) -> None:
        wait_for("the web process", lambda: self.healthy, process=self.process)

    @property
    def healthy(self) -> bool:
        try:
            with urllib.request.urlopen(self.url + "/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


@contextlib.contextmanager
def web_process(redis_url: str, folder: Path, **env: str) -> Iterator[Web]:
    """A web process that answers, gone afterwards."""
    web = Web(redis_url, folder, **env)
    with running(web.process):
        web.wait_up()
        yield web


def subscribe(socket: websocket.WebSocket, battle: str, **cursor: Any) -> None:
    socket.send(json.dumps({"type": "subscribe", "battle": battle, **cursor}))


def receive(socket: websocket.WebSocket, kind: str) -> dict[str, Any]:
    """The next message of that type."""
    while True:
        message: dict[str, Any] = json.loads(socket.recv())
        if message["type"] == kind:
            return message


def told(message: Any) -> tuple[int, str]:
    """``(seq, text)`` of a delta, or of a batch of them: which of the two comes is up to the moment."""
    events = message.get("events", [message])
    return message["seq"], "".join(e.get("text", "") for e in events)


def close_code(socket: websocket.WebSocket) -> int:
    """Read to the end and return the server's code."""
    while True:
        opcode, data = socket.recv_data()
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            return int(struct.unpack("!H", data[:2])[0])


def answer(url: str, *head: str, path: str = "/ws") -> str:
    """What the server says to an upgrade with these headers, headers included."""
    host = url.removeprefix("http://")
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade", *head, "", ""]
    with sockets.create_connection(("127.0.0.1", int(host.split(":")[1])), timeout=10) as raw:
        raw.sendall("\r\n".join(lines).encode())
        return raw.recv(4096).decode(errors="replace")


def handshake(url: str, *head: str, path: str = "/ws") -> str:
    """The first line of :func:`answer`."""
    return answer(url, *head, path=path).split("\r\n")[0]


def read_whole(socket: websocket.WebSocket, last: int, until: int) -> tuple[str, int]:
    """Side a's text after seq ``last`` up to seq ``until``, checked for gaps, and the frames it took."""
    text, frames = "", 0
    while last < until:
        message = json.loads(socket.recv())
        if message["type"] in ("ping", "hello"):
            continue
        frames += 1
        if message["type"] == "side.delta":
            assert message["seq"] == last + 1
            text += message["text"]
        else:
            assert message["seq"] - message["n"] == last
            text += "".join(e["text"] for e in message["events"])
        last = message["seq"]
    return text, frames
