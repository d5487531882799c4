"""Who sent a request and waits for its answer: with which key, and whether they still listen.

The latter is asked of the connection itself, without reading from it.
"""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Mapping
from typing import Any

from gevent import monkey

_HUNG_UP = select.POLLHUP | select.POLLERR | select.POLLNVAL | getattr(select, "POLLRDHUP", 0)


class Caller:
    """``key``: the id of the key that was shown, if one was."""

    def __init__(self, environ: Mapping[str, Any], key: str | None = None) -> None:
        """``environ``: the request's, in which servers tell its socket; without one nobody ever hangs up."""
        self._sock = environ.get("gunicorn.socket") or environ.get("werkzeug.socket")
        self._poll = monkey.get_original("select", "poll")
        self.key = key

    def gone(self) -> bool:
        """Whether the other end has closed the connection.

        A client that only closes its sending half counts as gone, as it does for the proxies in front of us.
        """
        if self._sock is None:
            return False
        descriptor: int = self._sock.fileno()
        if descriptor < 0:
            return True
        asked = self._poll()
        asked.register(descriptor, _HUNG_UP)
        return bool(asked.poll(0))

    def hang_up(self) -> None:
        """Break the connection off, whatever is being written to it."""
        if self._sock is not None:
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)
