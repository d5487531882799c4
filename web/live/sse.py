"""What every stream of server-sent events does alike: its first and last words, and an end to a reader that stalls."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from worker.contract import events as ev

HEARTBEAT_S = 15.0
BLOCKED_S = 10.0
RETRY_MS = 2000


class ServerSent:
    """``sock``: the connection's socket where the server tells, to break off a reader that stalls."""

    def __init__(self, sock: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self._sock = sock
        self._clock = clock
        self._bell = threading.Event()
        self._writing_since: float | None = None
        self._bye: int | None = None
        self._revoked = False

    def goodbye(self, reconnect_after_ms: int) -> None:
        """The server is going away."""
        self._bye = reconnect_after_ms
        self._bell.set()

    def revoked(self) -> None:
        """The key it was opened with opens nothing any more."""
        self._revoked = True
        self._bell.set()

    def tick(self) -> None:
        """About once a second: an end to a reader that takes nothing."""
        since = self._writing_since
        if since is not None and self._clock() - since > BLOCKED_S and self._sock is not None:
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)

    def _hello(self) -> Iterator[bytes]:
        yield from self._piece(b"retry: %d\n\n" % RETRY_MS)

    def _wait(self) -> bytes:
        """Until there may be something to say; what to say if there is nothing."""
        rung = self._bell.wait(HEARTBEAT_S)
        self._bell.clear()
        return b"" if rung else b": still here\n\n"

    def _farewell(self) -> Iterator[bytes]:
        if self._bye is not None:
            yield from self._piece(b"retry: %d\ndata: %b\n\n" % (self._bye, ev.encode(ev.Bye(self._bye))))

    def _piece(self, data: bytes) -> Iterator[bytes]:
        if data:
            self._writing_since = self._clock()
            yield data
            self._writing_since = None
