"""A crowd of viewers in a process of its own: it opens sockets, reads all that comes, and reckons how late it came.

It speaks just enough of the protocol to be cheap beside the server it measures, since both share the machine's cores.
Told what to do by lines of JSON on stdin, it answers each with one on stdout; in between it goes on reading.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import socket
import struct
import sys
import time
from array import array
from typing import Any

STAMP = 19
"""Digits of one stamp: ``time.monotonic_ns()`` where it was published, the whole text of every delta."""
IN_FLIGHT = 128
_TEXT = re.compile(rb'"text":"(\d{19,})"')
_SEQ = re.compile(rb'"seq":(\d+)')
_EPOCH = re.compile(rb'"epoch":"([0-9a-f]+)"')


class Viewer:
    """One socket. ``stage``: 0 connecting, 1 shaking hands, 2 waiting for its first frame, 3 following."""

    __slots__ = ("battle", "buffer", "epoch", "line", "seq", "stage")

    def __init__(self, battle: str) -> None:
        self.battle = battle
        self.line: socket.socket
        self.buffer = b""
        self.stage = 0
        self.seq = 0
        self.epoch = ""


def masked(opcode: int, payload: bytes) -> bytes:
    """A client's frame, masked with zeros: allowed, and nothing to compute."""
    assert len(payload) < 126
    return bytes((0x80 | opcode, 0x80 | len(payload))) + b"\0\0\0\0" + payload


class Crowd:
    def __init__(self, port: int, cookie: str) -> None:
        self.port = port
        self.cookie = cookie
        self.viewers: dict[int, Viewer] = {}
        self.poll = select.epoll()
        self.opened = self.lost = self.resumed = self.deltas = self.frames = 0
        self.late = array("Q")
        self.first = self.last = 0

    # ── what it is told ──────────────────────────────────────────────────────────────────────────────────────────

    def open(self, battles: list[str], count: int, timeout: float) -> dict[str, Any]:
        """``count`` viewers, shared out among ``battles``; returns when all follow or the time is up."""
        return self._enter([Viewer(battles[n % len(battles)]) for n in range(count)], timeout)

    def storm(self, timeout: float) -> dict[str, Any]:
        """Everybody drops at once and comes back with a cursor."""
        back = []
        for fd, viewer in list(self.viewers.items()):
            self.poll.unregister(fd)
            viewer.line.close()
            fresh = Viewer(viewer.battle)
            fresh.seq, fresh.epoch = viewer.seq, viewer.epoch
            back.append(fresh)
        self.viewers.clear()
        return self._enter(back, timeout)

    def _enter(self, waiting: list[Viewer], timeout: float) -> dict[str, Any]:
        began, cpu = time.monotonic(), time.process_time()
        self.opened = self.lost = self.resumed = 0
        wanted, waiting = len(waiting), waiting[::-1]
        while self.opened + self.lost < wanted and time.monotonic() - began < timeout:
            while waiting and wanted - len(waiting) - self.opened - self.lost < IN_FLIGHT:
                self._connect(waiting.pop(), len(waiting))
            self.read(0.1)
        seconds = time.monotonic() - began
        cpu = time.process_time() - cpu
        return {
            "opened": self.opened, "lost": self.lost, "resumed": self.resumed, "seconds": seconds, "cpu": cpu,
        }  # fmt: skip

    def count(self) -> dict[str, Any]:
        """What came since the last count."""
        late = sorted(self.late)
        at = [late[min(len(late) - 1, int(len(late) * q))] / 1e6 if late else 0.0 for q in (0.5, 0.99, 1.0)]
        told = {"deltas": self.deltas, "frames": self.frames, "ms": at, "lost": self.lost, "open": len(self.viewers)}
        self.deltas = self.frames = 0
        self.late = array("Q")
        return told

    # ── the sockets ──────────────────────────────────────────────────────────────────────────────────────────────

    def _connect(self, viewer: Viewer, nth: int) -> None:
        line = socket.socket()
        line.setblocking(False)
        line.bind((f"127.0.0.{2 + nth % 200}", 0))  # one address has only 28,000 ports
        with contextlib.suppress(BlockingIOError):
            line.connect(("127.0.0.1", self.port))
        viewer.line = line
        self.viewers[line.fileno()] = viewer
        self.poll.register(line.fileno(), select.EPOLLIN | select.EPOLLOUT)

    def read(self, timeout: float) -> bool:
        """Take in what has come; True when stdin has something to say."""
        told = False
        for fd, what in self.poll.poll(timeout):
            if fd == 0:
                told = True
                continue
            viewer = self.viewers[fd]
            try:
                if viewer.stage == 0 and what & select.EPOLLOUT:
                    self._greet(viewer)
                elif what:
                    self._hear(viewer, viewer.line.recv(262_144))
            except OSError:
                self._lose(viewer)
        return told

    def _greet(self, viewer: Viewer) -> None:
        viewer.stage = 1
        head = (
            f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Protocol: arena.v1\r\nCookie: {self.cookie}\r\n"
            f"Origin: http://127.0.0.1:{self.port}\r\n\r\n"
        )
        viewer.line.send(head.encode())
        self.poll.modify(viewer.line.fileno(), select.EPOLLIN)

    def _hear(self, viewer: Viewer, data: bytes) -> None:
        if not data:
            raise ConnectionResetError
        data = viewer.buffer + data if viewer.buffer else data
        if viewer.stage == 1:
            head, found, data = data.partition(b"\r\n\r\n")
            if not found:
                viewer.buffer = head
                return
            if b" 101 " not in head[:20]:
                raise ConnectionRefusedError(head[:200])
            viewer.stage = 2
            wish: dict[str, Any] = {"type": "subscribe", "battle": viewer.battle}
            if viewer.epoch:
                wish.update(epoch=viewer.epoch, after=viewer.seq)
            viewer.line.send(masked(1, json.dumps(wish, separators=(",", ":")).encode()))
        viewer.buffer = self._frames(viewer, data)

    def _frames(self, viewer: Viewer, data: bytes) -> bytes:
        """Take every whole frame off ``data``; what is left."""
        now = time.monotonic_ns()
        while len(data) >= 2:
            start, length = 2, data[1]
            if length == 126:
                start, length = 4, int.from_bytes(data[2:4], "big")
            elif length == 127:
                start, length = 10, int.from_bytes(data[2:10], "big")
            if len(data) < start + length:
                break
            self._frame(viewer, data[0] & 15, data[start : start + length], now)
            data = data[start + length :]
        return data

    def _frame(self, viewer: Viewer, opcode: int, payload: bytes, now: int) -> None:
        if opcode == 8:
            raise ConnectionResetError(struct.unpack("!H", payload[:2])[0])
        if opcode == 9:
            viewer.line.send(masked(10, payload))
            return
        if viewer.stage == 2:
            self._first(viewer, payload)
        seq = _SEQ.search(payload)
        if seq:
            viewer.seq = int(seq[1])
        stamps = _TEXT.findall(payload)
        if stamps and b'"view"' not in payload:
            self.frames += 1
            for text in stamps:
                for at in range(0, len(text), STAMP):
                    self.deltas += 1
                    self.late.append(now - int(text[at : at + STAMP]))

    def _first(self, viewer: Viewer, payload: bytes) -> None:
        kind = payload[:24]
        if b"hello" in kind:
            return
        viewer.stage = 3
        self.opened += 1
        self.resumed += b"resumed" in kind
        epoch = _EPOCH.search(payload)
        viewer.epoch = epoch[1].decode() if epoch else viewer.epoch

    def _lose(self, viewer: Viewer) -> None:
        self.lost += 1
        self.poll.unregister(viewer.line.fileno())
        del self.viewers[viewer.line.fileno()]
        viewer.line.close()


def main() -> None:
    asked = json.loads(sys.argv[1])
    crowd = Crowd(asked["port"], asked["cookie"])
    crowd.poll.register(0, select.EPOLLIN)
    while True:
        if not crowd.read(1.0):
            continue
        line = sys.stdin.readline()
        if not line:
            return
        order = json.loads(line)
        said = getattr(crowd, order.pop("do"))(**order)
        os.write(1, json.dumps(said).encode() + b"\n")


if __name__ == "__main__":
    main()
