"""One thread (a greenlet under gunicorn) that watches all sockets of the process.

An idle socket is a file descriptor in the kernel's own epoll and a few small objects: no thread, no stack, no buffer.
The epoll's descriptor is itself something to wait for, so waiting stays cooperative under gevent, which hides the
kernel's epoll from everybody else.
"""

from __future__ import annotations

import contextlib
import logging
import select
import selectors
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from gevent import monkey

log = logging.getLogger(__name__)

SLICES = 20
"""Each line gets its tick once a second, a twentieth of them at a time."""


class Line(Protocol):
    """What the reactor calls; must not wait for anything."""

    fd: int

    def readable(self) -> bool:
        """Read what has come. False: this is the end of the line."""

    def writable(self) -> None:
        """The socket takes bytes again."""

    def tick(self) -> None:
        """A second has passed."""

    def ended(self) -> None:
        """Not watched any more: close the descriptor and let go."""


class Reactor:
    """Starts with the first line. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: list[dict[int, Line]] = [{} for _ in range(SLICES)]
        self._seconds: list[Callable[[], None]] = []
        self._poll: Any = None
        self._slice = 0
        self._over = False

    def every_second(self, work: Callable[[], None]) -> None:
        """Do ``work``, which must not wait, about once a second while the reactor runs."""
        self._seconds.append(work)

    def start(self) -> None:
        """Run, if it does not yet."""
        with self._lock:
            if self._poll is None:
                self._poll = monkey.get_original("select", "epoll")()
                threading.Thread(target=self._run, name="live-reactor", daemon=True).start()

    def add(self, line: Line) -> None:
        """Watch ``line`` until it ends."""
        self.start()
        with self._lock:
            self._lines[line.fd % SLICES][line.fd] = line
            self._poll.register(line.fd, select.POLLIN)

    def stop(self) -> None:
        """Watch nothing any more, within a tick; the lines stay as they are."""
        self._over = True

    def writing(self, fd: int, wanted: bool) -> None:
        """Whether to say when that line's socket takes bytes."""
        with contextlib.suppress(OSError):  # it has just ended
            self._poll.modify(fd, select.POLLIN | (select.POLLOUT if wanted else 0))

    def _run(self) -> None:
        waiting = selectors.DefaultSelector()
        waiting.register(self._poll.fileno(), selectors.EVENT_READ)
        due = time.monotonic()
        while not self._over:
            try:
                waiting.select(max(0.0, due - time.monotonic()))
                for fd, what in self._poll.poll(0):
                    self._serve(fd, what)
                if time.monotonic() >= due:
                    due = max(due + 1 / SLICES, time.monotonic() - 1)
                    self._ticks()
            except Exception:
                log.exception("the reactor stumbled; it goes on")
        waiting.close()

    def _serve(self, fd: int, what: int) -> None:
        line = self._lines[fd % SLICES].get(fd)
        if line is None:
            return
        try:
            if what & select.POLLOUT:
                line.writable()
            alive = not what & ~select.POLLOUT or line.readable()
        except Exception:
            log.exception("a socket is dropped")
            alive = False
        if not alive:
            self._end(line)

    def _end(self, line: Line) -> None:
        with self._lock:
            self._lines[line.fd % SLICES].pop(line.fd, None)
            with contextlib.suppress(OSError):
                self._poll.unregister(line.fd)
        line.ended()

    def _ticks(self) -> None:
        self._slice = (self._slice + 1) % SLICES
        for line in list(self._lines[self._slice].values()):
            line.tick()
        if self._slice == 0:
            for work in self._seconds:
                work()
