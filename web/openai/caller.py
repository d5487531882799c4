"""Whether whoever sent the current request still listens: asked of the connection itself, without reading from it."""

from __future__ import annotations

import select
from collections.abc import Callable, Mapping
from typing import Any

from gevent import monkey

_HUNG_UP = select.POLLHUP | select.POLLERR | select.POLLNVAL | getattr(select, "POLLRDHUP", 0)


def socket_of(environ: Mapping[str, Any]) -> Any:
    """The request's socket, where the server tells it."""
    return environ.get("gunicorn.socket") or environ.get("werkzeug.socket")


def hung_up(sock: Any) -> Callable[[], bool]:
    """A function that says whether the other end of ``sock`` has closed it; one without a socket never has.

    A client that only closes its sending half counts as gone, as it does for the proxies in front of us.
    """
    poll = monkey.get_original("select", "poll")

    def gone() -> bool:
        if sock is None:
            return False
        descriptor: int = sock.fileno()
        if descriptor < 0:
            return True
        asked = poll()
        asked.register(descriptor, _HUNG_UP)
        return bool(asked.poll(0))

    return gone
