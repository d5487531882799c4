"""``/ws``: the handshake, and the socket that is left when it is done.

flask-sock and simple-websocket shake hands. Then the socket is taken from the server that accepted it (our own
descriptor of the same connection) and the request ends: no stack, no request context, no thread stays with an idle
socket. The reactor says when there is something to read; wsproto takes it apart; all writing goes through the outbox,
since simple-websocket's own ``send`` would cut frames short under gevent.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flask import Flask, g, request
from flask_sock import Sock
from gevent import monkey

from web.access import current_key_id
from web.errors import ArenaError, CrossOrigin, TooManyConnections
from web.live import tickets
from web.live.connection import Connection
from web.live.house import House
from web.live.inbound import Inbound
from web.live.outbox import Outbox
from web.live.visitor import Visitor
from web.security import client_address, current_owner, from_our_pages
from worker.contract.events import SUBPROTOCOL, CloseCode

if TYPE_CHECKING:
    from web.context import Arena

PATH = "/ws"
RECEIVE_BYTES = 16 * 1024
KERNEL_BYTES = 128 * 1024
_SOCKET_KEYS = ("gunicorn.socket", "werkzeug.socket")


class SocketLine:
    """A websocket after its handshake. ``ended`` is set when it is gone."""

    __slots__ = ("_house", "_inbound", "_sock", "_visitor", "connection", "fd", "gone")

    def __init__(self, sock: Any, house: House, visitor: Visitor) -> None:
        """``sock``: a non-blocking socket of the kernel's own kind, and nobody else's."""
        self._sock = sock
        self._house = house
        self._visitor = visitor
        self._inbound = Inbound()
        self.fd: int = sock.fileno()
        self.gone: Callable[[], None] = lambda: None
        outbox = Outbox(sock, watch=self._watch)
        self.connection = Connection(outbox, house.hub, house.authority, visitor, spawn=house.crew)

    def begin(self, agreed: bool) -> None:
        """Be counted and watched; greet, or say why not."""
        self._house.reactor.add(self)
        try:
            self._house.enter(self, self._visitor)
        except ArenaError as refusal:
            self._house.see_out(self)
            limited = isinstance(refusal, TooManyConnections)
            code, close = ("limited", CloseCode.LIMITED) if limited else ("no_room", CloseCode.OVERLOAD)
            self.connection.refuse(code, refusal.detail, close, retryable=True)
        else:
            self.connection.greet(agreed)
            self._house.welcomed(self)

    def readable(self) -> bool:
        try:
            data = self._sock.recv(RECEIVE_BYTES)
        except (BlockingIOError, InterruptedError):
            return True
        except OSError:
            return False
        if not data:
            return False
        if self.connection.hung_up:
            return True
        for heard in self._inbound.feed(data):
            self.connection.heard(heard)
            if self.connection.hung_up:
                break
        return True

    def writable(self) -> None:
        self.connection.outbox.flush()
        self.connection.kick()

    def tick(self) -> None:
        self.connection.tick()

    def goodbye(self, reconnect_after_ms: int) -> None:
        self.connection.goodbye(reconnect_after_ms)

    def revoked(self) -> None:
        self.connection.refuse("session", "The key of this socket opens nothing any more.", CloseCode.SESSION)

    def ended(self) -> None:
        self.connection.release()
        self._house.leave(self, self._visitor)
        self._sock.close()
        self.gone()

    def _watch(self, wanted: bool) -> None:
        self._house.reactor.writing(self.fd, wanted)


def own(sock: Any) -> Any:
    """Our own non-blocking descriptor of an accepted connection, with a bound on what the kernel holds back for a
    reader that stalls. The server may close its own without consequence."""
    plain = monkey.get_original("socket", "socket")
    mine = plain(fileno=os.dup(sock.fileno()))
    mine.setblocking(False)
    mine.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)
    with contextlib.suppress(OSError):  # not on a unix socket
        mine.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return mine


class _NoThread:
    """simple-websocket wants a thread to read in; the reactor reads instead."""

    name = ""

    def __init__(self, target: Callable[[], None]) -> None:
        self.target = target

    def start(self) -> None:
        """Nothing to start."""


def _visitor(arena: Arena) -> Visitor:
    """Who opens this socket. Raises CrossOrigin or BadTicket."""
    address = client_address(request, arena.settings)
    ticket = tickets.presented(request)
    if ticket is not None:
        return tickets.redeem(arena.redis, ticket, address)
    if not from_our_pages(request, arena.settings):
        raise CrossOrigin()
    return Visitor(current_owner(), address, key=current_key_id())


def init_app(app: Flask, arena: Arena, house: House) -> None:
    """Register the route and its preconditions."""
    app.config["SOCK_SERVER_OPTIONS"] = {"subprotocols": [SUBPROTOCOL], "thread_class": _NoThread}
    sock = Sock(app)

    @app.before_request
    def before_upgrade() -> None:
        if request.path != PATH or "websocket" not in request.headers.get("Upgrade", "").lower():
            return
        house.check_open()
        g.visitor = _visitor(arena)
        # Compressing costs six times the memory and more than half the throughput per socket.
        request.environ.pop("HTTP_SEC_WEBSOCKET_EXTENSIONS", None)

    @sock.route(PATH, endpoint="live_follow")  # type: ignore[untyped-decorator]
    def follow(ws: Any) -> None:
        line = SocketLine(own(ws.sock), house, g.visitor)
        gone = threading.Event()
        if ws.mode != "gunicorn":  # other servers shut the connection down when the request ends
            line.gone = gone.set
        line.begin(ws.subprotocol == SUBPROTOCOL)
        ws.connected = False  # so that flask-sock does not close it
        if ws.mode != "gunicorn":
            gone.wait()

    view: Any = app.view_functions["live_follow"]
    view._spec = {"hide": True}  # OpenAPI has no words for websockets
