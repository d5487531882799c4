"""What is on its way to one socket: sent at once when it can be, queued within a bound when not, refused beyond it.

Whoever offers a frame is never made to wait, so one stalled reader delays nobody. A refusal is no loss: the battle's
log keeps everything, and the follower catches up from its cursor once the outbox has emptied.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from web.live import frames
from web.live.hub import Announced
from worker.contract import events as ev

LIMIT_BYTES = 64 * 1024


class Outbox:
    """One socket's outgoing half. Thread-safe, and nothing in it waits.

    ``sock`` must be non-blocking. ``watch(True)`` is called when it refuses bytes and :meth:`flush` is due once it
    takes some, ``watch(False)`` when nothing waits any more.
    """

    __slots__ = ("_bytes", "_clock", "_limit", "_partial", "_queue", "_send", "_sock", "_watch", "blocked_since",
                 "dead", "finished", "hung_up", "last_sent", "lock")  # fmt: skip

    def __init__(
        self,
        sock: Any,
        watch: Callable[[bool], None] = lambda _on: None,
        clock: Callable[[], float] = time.monotonic,
        limit: int = LIMIT_BYTES,
    ) -> None:
        self._sock = sock
        self._send = sock.send
        self._watch = watch
        self._clock = clock
        self._limit = limit
        self._queue: deque[memoryview] | None = None
        self._bytes = 0
        self._partial = False
        self.lock = threading.Lock()
        """Also guards what decides about frames for this socket: see ``follow``."""
        self.finished = False
        self.hung_up = False
        self.dead = False
        self.blocked_since: float | None = None
        """When the socket last began to refuse bytes it still refuses."""
        self.last_sent = clock()

    @property
    def pending(self) -> bool:
        """Whether anything waits for the socket."""
        return self._bytes > 0

    def tell(self, told: Announced) -> bool:
        """Send or queue a stored event; False: no room, the log will have to do. Call with :attr:`lock` held.

        This is where nearly all of a busy process's time goes, so the usual case comes first and by itself.
        """
        frame = told.frame
        if self._bytes or self.finished or self.dead:
            return self._put(frame, droppable=True)
        try:
            sent = self._send(frame)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self._die()
            return False
        if sent == len(frame):
            self.last_sent = told.at
        else:
            self._wait_for(frame, sent)
        return True

    def retell(self, message: msgspec.Struct, epoch: str, seq: int) -> None:
        """Send or queue what makes a follower whole up to ``seq``. Call with :attr:`lock` held."""
        self._put(frames.text(ev.encode(message)))

    def offer(self, frame: bytes, *, droppable: bool = False) -> bool:
        """Send or queue one whole frame. False: nothing was taken (over, or full and ``droppable``)."""
        with self.lock:
            return self._put(frame, droppable=droppable)

    def finish(self, frame: bytes, *, drop_queued: bool = False) -> None:
        """Take ``frame`` as the last one. ``drop_queued``: forget all that waits, except a frame already begun."""
        with self.lock:
            if self.finished or self.dead:
                return
            if drop_queued and self._queue:
                keep = 1 if self._partial else 0
                while len(self._queue) > keep:
                    self._bytes -= len(self._queue.pop())
            self.finished = True
            self._put(frame, last=True)

    def hang_up(self) -> None:
        """Half close the socket once everything is out: the peer's reading ends there."""
        with self.lock:
            self.hung_up = True
            if self._queue is None:
                self._shut()

    def flush(self) -> None:
        """Send what the socket takes now."""
        with self.lock:
            self._push()

    def abort(self) -> None:
        """Break the connection off; wakes whoever reads from it."""
        self.dead = True
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def _put(self, frame: bytes, *, droppable: bool = False, last: bool = False) -> bool:
        if self.dead or (self.finished and not last):
            return False
        if self._queue is not None:
            if droppable and self._bytes + len(frame) > self._limit:
                return False
            self._queue.append(memoryview(frame))
            self._bytes += len(frame)
            return True
        try:
            sent = self._send(frame)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self._die()
            return False
        if sent < len(frame):
            self._wait_for(frame, sent)
            return True
        self.last_sent = self._clock()
        return True

    def _wait_for(self, frame: bytes, sent: int) -> None:
        now = self._clock()
        self._queue = deque([memoryview(frame)[sent:]])
        self._bytes = len(frame) - sent
        self._partial = sent > 0
        self.last_sent = now if sent else self.last_sent
        self.blocked_since = now
        self._watch(True)

    def _push(self) -> None:
        while self._queue and not self.dead:
            head = self._queue[0]
            try:
                sent = self._send(head)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self._die()
                return
            self.last_sent = self._clock()
            self._bytes -= sent
            if sent < len(head):
                self._queue[0] = head[sent:]
                self._partial = True
                self.blocked_since = self.last_sent
                return
            self._queue.popleft()
            self._partial = False
        if self._queue is not None:
            self._queue, self.blocked_since = None, None
            self._watch(False)
            if self.hung_up:
                self._shut()

    def _die(self) -> None:
        """The peer is gone; the reading side finds out by itself."""
        self.dead = True
        self._queue, self._bytes = None, 0

    def _shut(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
