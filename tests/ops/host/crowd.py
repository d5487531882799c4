"""Viewers behind nginx who come back by themselves, as the page does, and keep every word they are told.

Each word is a number, one more than the one before, so that what was lost or repeated on the way can be counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import ssl
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ops.bench.sockets.crowd import masked
from web.security import COOKIE, TLS_PREFIX
from worker.contract import events as ev
from worker.loop import Loop

HANDSHAKES = 32
"""At once; the rest wait their turn, as visitors of the page do not all come in one moment."""
NEWCOMER_S = 0.02
"""Between two who were not there before."""


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
    """All of them. ``refused``: handshakes that did not succeed; ``newcomers``: how many came only to shake hands."""

    def __init__(self, url: str, authority: Path, viewers: list[Viewer]) -> None:
        self.viewers = viewers
        self.refused: list[str] = []
        self._origin = url
        self._port = urlsplit(url).port
        self._context = ssl.create_default_context(cafile=str(authority))
        self._loop = Loop("crowd")
        self._handshakes = asyncio.Semaphore(HANDSHAKES)
        self.newcomers = 0

    @contextlib.contextmanager
    def watching(self) -> Iterator[Crowd]:
        """While the block runs they watch; whoever is cut off comes back."""
        with self._busy(self._everybody()):
            yield self
        self._loop.end()

    @contextlib.contextmanager
    def coming(self) -> Iterator[None]:
        """While the block runs somebody comes who was not there before, again and again."""
        with self._busy(self._newcomers()):
            yield

    @contextlib.contextmanager
    def _busy(self, work: Coroutine[Any, Any, None]) -> Iterator[None]:
        if not self._loop.alive:
            self._loop.start()
        over = asyncio.Event()
        done = asyncio.run_coroutine_threadsafe(_until(over, work), self._loop.asyncio)
        try:
            yield
        finally:
            self._loop.asyncio.call_soon_threadsafe(over.set)
            done.result(30)

    def following(self, times: int) -> bool:
        """Whether every one has begun to follow at least so often."""
        return all(v.came >= times for v in self.viewers)

    async def _everybody(self) -> None:
        async with asyncio.TaskGroup() as group:
            for viewer in self.viewers:
                group.create_task(self._watch(viewer))

    async def _newcomers(self) -> None:
        """From addresses of their own, so that nginx counts none of them out."""
        for number in itertools.cycle(range(1, 250)):
            one = Viewer(self.viewers[0].battle, self.viewers[0].cookie, f"127.0.2.{number}")
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                _, writer = await self._connected(one)
                writer.transport.abort()
                self.newcomers += 1
            await asyncio.sleep(NEWCOMER_S)

    async def _watch(self, viewer: Viewer) -> None:
        while True:
            pause = random.uniform(0.2, 1.0)
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, ConnectionError):
                pause = await self._once(viewer)
            await asyncio.sleep(pause)

    async def _once(self, viewer: Viewer) -> float:
        """Follow until the socket ends; seconds after which the server wants to see it again."""
        async with self._handshakes:
            reader, writer = await self._connected(viewer)
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

    async def _connected(self, viewer: Viewer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """After the handshake. Raises OSError or IncompleteReadError when it was refused, which is noted."""
        try:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", self._port, ssl=self._context, server_hostname="localhost", local_addr=(viewer.address, 0)
            )
            try:
                await self._greet(viewer, reader, writer)
            except BaseException:
                writer.transport.abort()
                raise
        except (OSError, asyncio.IncompleteReadError) as error:
            self.refused.append(str(error) or type(error).__name__)
            raise
        return reader, writer

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
            raise ConnectionRefusedError(said[:40].decode(errors="replace").splitlines()[0])
        wish = ev.Subscribe(viewer.battle, viewer.epoch or None, viewer.seq if viewer.epoch else None)
        writer.write(masked(1, ev.encode(wish)))


async def _until(over: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Its failure is ours, whenever it comes."""
    task = asyncio.ensure_future(work)
    waiting = asyncio.ensure_future(over.wait())
    await asyncio.wait((task, waiting), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def _frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """``(opcode, payload)`` of the server's next one; it sends none in parts."""
    first, length = await reader.readexactly(2)
    if length >= 126:
        length = int.from_bytes(await reader.readexactly(2 if length == 126 else 8), "big")
    return first & 15, await reader.readexactly(length)
