"""gunicorn's gevent worker, made to close on those who are slow on purpose, and to refuse in our own words.

What gunicorn does by itself: a request's head must be complete within ``keepalive`` seconds of the connection's last
request, whatever trickles in; its line, the number and the size of its headers are bounded. What it does not: bound the
time a body takes to arrive, or an answer to be taken. A thousand clients that send a byte now and then would otherwise
hold a thousand connections for as long as they like.

gunicorn loads this module before its processes are made and gevent has put its own in place of the standard library's
sockets and locks; what would import those is therefore imported where it is used.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from collections.abc import Iterator
from typing import Any

import gevent
import gevent.monkey
from gunicorn.errors import AppImportError
from gunicorn.http import errors as parsing
from gunicorn.workers.ggevent import GeventWorker

log = logging.getLogger(__name__)

STALLED_S = 60.0
"""A client that takes nothing of an answer for this long is cut off."""
SLOWEST = 20_000
"""Bytes per second by which the time for a body grows with the size it announces."""
MOST_ANNOUNCED_S = 600.0

_REFUSALS: tuple[tuple[type[Exception], int, str, str], ...] = (
    (parsing.LimitRequestLine, 414, "address_too_long", "The address is too long"),
    (parsing.LimitRequestHeaders, 431, "headers_too_large", "The headers are too many or too large"),
    (parsing.ExpectationFailed, 417, "bad_request", "This expectation cannot be met"),
    (parsing.ParseException, 400, "bad_request", "This is not HTTP as we speak it"),
)


class Worker(GeventWorker):  # type: ignore[misc]
    """To be named as ``worker_class``."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._idle: set[Any] = set()
        """Connections that have been answered and may ask again."""

    def load_wsgi(self) -> None:
        """A line instead of a traceback for settings that are no good; gunicorn then stops instead of trying again."""
        from click import ClickException

        try:
            super().load_wsgi()
        except ClickException as error:
            raise AppImportError(f"Error: {error.format_message()}") from None

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> Any:
        """One request, its body and its answer each within their time."""
        self._idle.discard(sock)
        sock.settimeout(STALLED_S)
        req.body = Patient(req.body, self._body_s(req))
        try:
            handled = super().handle_request(listener_name, req, sock, addr)
        except TimeoutError:
            log.warning("a client that took nothing of its answer was cut off")
            raise StopIteration from None
        self._idle.add(sock)
        return handled

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        """One connection, to its end."""
        try:
            super().handle(listener, client, addr)
        finally:
            self._idle.discard(client)

    def hang_up(self) -> None:
        """When this process ends: close the connections on which nothing is asked, as nginx keeps many.

        What has been asked on one already is still answered; whoever asks next does so of the process that follows.
        """
        import socket

        plain = gevent.monkey.get_original("socket", "socket")
        for idle in list(self._idle):
            with contextlib.suppress(OSError), plain(fileno=os.dup(idle.fileno())) as same:
                same.shutdown(socket.SHUT_RD)

    def _body_s(self, req: Any) -> float:
        announced = next((v for name, v in req.headers if name == "CONTENT-LENGTH"), "0")
        base: float = self.wsgi.extensions["arena"].settings.body_timeout_s
        return base + min(MOST_ANNOUNCED_S, int(announced) / SLOWEST)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """What cannot be parsed is refused as everything else is: a problem, with our headers."""
        from web.errors import BodyTooSlow

        if isinstance(exc, BodyTooSlow):  # what was left of a body whose request has been answered
            return
        for kind, status, code, title in _REFUSALS:
            if isinstance(exc, kind):
                _send(client, status, code, title)
                return
        super().handle_error(req, client, addr, exc)


class Patient:
    """A request's body that must be read within ``seconds``, all of it. Raises BodyTooSlow."""

    def __init__(self, body: Any, seconds: float) -> None:
        self._body = body
        self._seconds = seconds
        self._began: float | None = None

    @property
    def failed(self) -> bool:
        """Whether nobody knows where on the connection the next request begins, so that it must be closed."""
        return bool(self._body.failed)

    def read(self, size: int | None = None) -> bytes:
        return self._within(self._body.read, size)

    def readline(self, size: int | None = None) -> bytes:
        return self._within(self._body.readline, size)

    def readlines(self, size: int | None = None) -> list[bytes]:
        return list(self)

    def __iter__(self) -> Iterator[bytes]:
        while line := self.readline():
            yield line

    def _within(self, read: Any, size: int | None) -> bytes:
        from web.errors import BodyTooSlow

        now = time.monotonic()
        if self._began is None:
            self._began = now
        left = self._began + self._seconds - now
        late = BodyTooSlow("The body did not arrive in time.")
        if left <= 0:
            self._body.failed = True
            raise late
        try:
            with gevent.Timeout(left, late):
                data: bytes = read(size)
        except BodyTooSlow:
            self._body.failed = True
            raise
        except TimeoutError:
            self._body.failed = True
            raise late from None
        return data


def _send(client: Any, status: int, code: str, title: str) -> None:
    from web.errors import PROBLEM_TYPE
    from web.security import HEADERS

    problem = {"type": PROBLEM_TYPE + code, "title": title, "status": status, "code": code, "detail": title}
    body = json.dumps(problem) + "\n"
    named = {"Content-Type": "application/problem+json", "Content-Length": str(len(body)), "Connection": "close"}
    lines = [f"HTTP/1.1 {status} {title}", *(f"{k}: {v}" for k, v in {**named, **HEADERS}.items()), "", body]
    try:
        client.settimeout(1.0)
        client.sendall("\r\n".join(lines).encode())
    except OSError as error:
        log.debug("a refusal was not taken: %s", type(error).__name__)
