"""Viewers behind nginx who come back by themselves, as the page does, and keep every word they are told.

Each word is a number, one more than the one before, so that what was lost or repeated on the way can be counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ops.bench.sockets.crowd import masked
from web.security import COOKIE, TLS_PREFIX
from worker.contract import events as ev

HANDSHAKES = 32
"""At once; the rest wait their turn, as visitors of the page do not all come in one moment."""


@dataclass(slots=True, eq=False)
class Viewer:
    """``came``: how often its socket has begun to follow. ``notes``: what should not have happened."""

    battle: str
    cookie: str
    address: str
    words: list[int] = field(default_factory=list)
    epoch: str = ""
    seq: int = 0
    came: int = 0
    notes: list[str] = field(default_factory=list)

    def hear(self, message: dict[str, Any]) -> None:
        """One message of the battle's."""
        kind = message["type"]
        if kind == "snapshot":
            self.words = [
                int(w) for turn in message["view"].get("turns", []) for w in turn["a"].get("text", "").split()
            ]
            self.notes += [f"told from the beginning after {self.seq}"] if self.epoch else []
            self.epoch, self.seq = message["epoch"], message["seq"]
        if kind in ("snapshot", "resumed"):
            self.came += 1
            return
        events = message["events"] if kind == "batch" else [message]
        if message["seq"] - message.get("n", 1) != self.seq:
            self.notes.append(f"{message['seq']} of {message.get('n', 1)} after {self.seq}")
        self.seq = message["seq"]
        self.words += [int(w) for e in events for w in e.get("text", "").split()]


class Crowd:
    """All of them, on an event loop in a thread of its own. ``refused``: handshakes that did not succeed."""

    def __init__(self, url: str, authority: Path, viewers: list[Viewer]) -> None:
        self.viewers = viewers
        self.refused: list[str] = []
        self._origin = url
        self._port = urlsplit(url).port
        self._context = ssl.create_default_context(cafile=str(authority))
        self._loop = asyncio.new_event_loop()
        self._handshakes = asyncio.Semaphore(HANDSHAKES)
        self._thread = threading.Thread(target=self._loop.run_forever)

    @contextlib.contextmanager
    def watching(self) -> Iterator[Crowd]:
        """While the block runs they watch; whoever is cut off comes back."""
        self._thread.start()
        everybody = asyncio.run_coroutine_threadsafe(self._everybody(), self._loop)
        try:
            yield self
        finally:
            everybody.cancel()
            asyncio.run_coroutine_threadsafe(self._loop.shutdown_asyncgens(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def following(self, times: int) -> bool:
        """Whether every one has begun to follow at least so often."""
        return all(v.came >= times for v in self.viewers)

    async def _everybody(self) -> None:
        async with asyncio.TaskGroup() as group:
            for viewer in self.viewers:
                group.create_task(self._watch(viewer))

    async def _watch(self, viewer: Viewer) -> None:
        while True:
            pause = random.uniform(0.2, 1.0)
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, ConnectionError):
                pause = await self._once(viewer)
            await asyncio.sleep(pause)

    async def _once(self, viewer: Viewer) -> float:
        """Follow until the socket ends; seconds after which the server wants to see it again."""
        async with self._handshakes:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", self._port, ssl=self._context, server_hostname="localhost", local_addr=(viewer.address, 0)
            )
            try:
                await self._greet(viewer, reader, writer)
            except BaseException:
                writer.transport.abort()
                raise
        again = 0.3
        try:
            while True:
                opcode, payload = await _frame(reader)
                if opcode == 8:
                    return again
                if opcode == 9:
                    writer.write(masked(10, payload))
                    continue
                message = json.loads(payload)
                if message["type"] == "bye":
                    again = message["reconnect_after_ms"] / 1000
                elif message["type"] == "ping":
                    writer.write(masked(1, ev.encode(ev.Pong(message["n"]))))
                elif message["type"] != "hello":
                    viewer.hear(message)
        finally:
            writer.transport.abort()

    async def _greet(self, viewer: Viewer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = [
            "GET /ws HTTP/1.1", f"Host: {urlsplit(self._origin).netloc}", "Upgrade: websocket", "Connection: Upgrade",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Protocol: {ev.SUBPROTOCOL}", f"Cookie: {TLS_PREFIX}{COOKIE}={viewer.cookie}",
            f"Origin: {self._origin}", "", "",
        ]  # fmt: skip
        writer.write("\r\n".join(head).encode())
        said = await reader.readuntil(b"\r\n\r\n")
        if b" 101 " not in said[:20]:
            self.refused.append(said[:40].decode(errors="replace").splitlines()[0])
            raise ConnectionRefusedError
        wish = ev.Subscribe(viewer.battle, viewer.epoch or None, viewer.seq if viewer.epoch else None)
        writer.write(masked(1, ev.encode(wish)))


async def _frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """``(opcode, payload)`` of the server's next one; it sends none in parts."""
    first, length = await reader.readexactly(2)
    if length >= 126:
        length = int.from_bytes(await reader.readexactly(2 if length == 126 else 8), "big")
    return first & 15, await reader.readexactly(length)
