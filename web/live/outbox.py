"""What is on its way to one socket: sent at once when it can be, queued within a bound when not, refused beyond it.

Whoever offers a frame is never made to wait, so one stalled reader delays nobody. A refusal is no loss: the battle's
log keeps everything, and the follower catches up from its cursor once the outbox has emptied.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

LIMIT_BYTES = 64 * 1024


class Outbox:
    """One socket's outgoing half. Thread-safe; only :meth:`flush` and :meth:`wait_writable` may be slow."""

    def __init__(self, sock: Any, clock: Callable[[], float] = time.monotonic, limit: int = LIMIT_BYTES) -> None:
        self._sock = sock
        self._raw = getattr(sock, "_sock", sock)  # gevent's socket would wait; the one inside it does not
        self._clock = clock
        self._limit = limit
        self._lock = threading.Lock()
        self._queue: deque[memoryview] = deque()
        self._bytes = 0
        self._finished = False
        self._partial = False
        self.dead = False
        self.blocked_since: float | None = None
        """When the socket last began to refuse bytes it still refuses."""
        self.last_sent = clock()

    @property
    def pending(self) -> bool:
        """Whether anything waits for the socket."""
        return self._bytes > 0

    def offer(self, frame: bytes, *, droppable: bool = False) -> bool:
        """Send or queue one whole frame. False: nothing was taken (over, or full and ``droppable``)."""
        with self._lock:
            if self._finished or self.dead:
                return False
            if self._bytes and droppable and self._bytes + len(frame) > self._limit:
                return False
            self._queue.append(memoryview(frame))
            self._bytes += len(frame)
            if len(self._queue) == 1:
                self._push()
            return not self.dead

    def finish(self, frame: bytes, *, drop_queued: bool = False) -> None:
        """Take ``frame`` as the last one. ``drop_queued``: forget all that waits, except a frame already begun."""
        with self._lock:
            if self._finished or self.dead:
                return
            if drop_queued:
                keep = 1 if self._partial else 0
                while len(self._queue) > keep:
                    self._bytes -= len(self._queue.pop())
            self._queue.append(memoryview(frame))
            self._bytes += len(frame)
            self._finished = True
            self._push()

    @property
    def finished(self) -> bool:
        return self._finished

    def flush(self) -> None:
        """Send what the socket takes now."""
        with self._lock:
            self._push()

    def wait_writable(self, timeout: float) -> None:
        """Wait until the socket takes bytes again, or ``timeout`` seconds."""
        with contextlib.suppress(OSError, ValueError), selectors.DefaultSelector() as selector:
            selector.register(self._sock, selectors.EVENT_WRITE)
            selector.select(timeout)

    def abort(self) -> None:
        """Break the connection off; wakes whoever reads from it."""
        self.dead = True
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def _push(self) -> None:
        while self._queue and not self.dead:
            head = self._queue[0]
            try:
                sent = self._raw.send(head, socket.MSG_DONTWAIT)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError:
                self.dead = True
                return
            if sent:
                self.last_sent = self._clock()
            self._bytes -= sent
            if sent < len(head):
                self._queue[0] = head[sent:]
                self._partial = self._partial or sent > 0
                self.blocked_since = self.last_sent if sent else (self.blocked_since or self._clock())
                return
            self._queue.popleft()
            self._partial = False
        self.blocked_since = None
