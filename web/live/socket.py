"""``/ws``: the handshake, the reading loop, and the one thread that looks after all sockets of the process.

simple-websocket reads and parses; it never gets to write by itself: its socket is wrapped, so that what it says (pongs,
close replies) goes through the same outbox as everything else. Its own ``send`` would cut frames short under gevent.
"""

from __future__ import annotations

import logging
import random
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from flask import Flask, request
from flask_sock import Sock
from wsproto.connection import ConnectionState
from wsproto.events import CloseConnection
from wsproto.utilities import RemoteProtocolError

from web.arena import views
from web.errors import Busy, CrossOrigin, UnknownBattle
from web.live.connection import Connection
from web.live.hub import Hub
from web.live.outbox import Outbox
from web.security import current_owner, same_site
from worker.contract import channel
from worker.contract.channel import Frame
from worker.contract.events import SUBPROTOCOL, BattleView

if TYPE_CHECKING:
    from web.context import Arena

log = logging.getLogger(__name__)

PATH = "/ws"
MAX_MESSAGE_BYTES = 64 * 1024
RECEIVE_BYTES = 4096
KERNEL_BYTES = 128 * 1024
_SOCKET_KEYS = ("gunicorn.socket", "werkzeug.socket")


class Wire:
    """The connection's socket as simple-websocket sees it: reads are the socket's, writes go to the outbox."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self.outbox = Outbox(sock)

    def send(self, data: bytes) -> int:
        self.outbox.offer(bytes(data))
        return len(data)

    def recv(self, size: int) -> bytes:
        received: bytes = self._sock.recv(size)
        return received

    def fileno(self) -> int:
        number: int = self._sock.fileno()
        return number

    def close(self) -> None:
        """The server that accepted the socket closes it."""


def wire(sock: Any) -> Wire:
    """A wire over an accepted socket, with a bound on what the kernel holds back for a reader that stalls."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)
    return Wire(sock)


class _NoThread:
    """simple-websocket wants a thread to read in; the request's own greenlet reads instead, at half the memory."""

    name = ""

    def __init__(self, target: Callable[[], None]) -> None:
        self.target = target

    def start(self) -> None:
        """Nothing to start."""


class Live:
    """All sockets of this process."""

    def __init__(self, arena: Arena) -> None:
        self._arena = arena
        self.hub = Hub(arena.settings.redis_url)
        self.authority = ArenaAuthority(arena)
        self._lock = threading.Lock()
        self._open: set[Connection] = set()
        self._keeper: threading.Thread | None = None
        self._stopping = threading.Event()

    def check_room(self) -> None:
        """Raises Busy when this process holds as many sockets as it may, or is going away."""
        if self._stopping.is_set() or len(self._open) >= self._arena.settings.max_sockets:
            raise Busy("Too many connections.", retry_after_s=5)

    def serve(self, ws: Any, owner: str | None) -> None:
        """Converse until either side ends it."""
        wire: Wire = ws.sock
        connection = Connection(wire.outbox, self.hub, self.authority, owner)
        with self._lock:
            self._open.add(connection)
            if self._keeper is None:
                self._keeper = threading.Thread(target=self._keep, name="live-keeper", daemon=True)
                self._keeper.start()
        try:
            connection.greet(ws.subprotocol == SUBPROTOCOL)
            _read(ws, wire, connection)
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.release()

    def shutdown(self) -> None:
        """Tell every socket to come back elsewhere in a moment, spread out so that they do not come all at once."""
        self._stopping.set()
        with self._lock:
            leaving = list(self._open)
        for connection in leaving:
            connection.goodbye(reconnect_after_ms=random.randint(300, 3000))  # noqa: S311

    def _keep(self) -> None:
        while True:
            time.sleep(1.0)
            with self._lock:
                everybody = list(self._open)
            for connection in everybody:
                connection.tick()
            self.hub.tick()


class ArenaAuthority:
    """The log and the battles of this arena."""

    def __init__(self, arena: Arena) -> None:
        self._arena = arena

    def allows(self, battle: str, owner: str) -> bool:
        try:
            self._arena.db.read(lambda s: views.owned(s, battle, owner))
        except UnknownBattle:
            return False
        return True

    def after(self, battle: str, seq: int) -> tuple[str | None, Sequence[Frame], int]:
        epoch, entries = channel.read_log(self._arena.redis, battle, seq)
        if entries:
            return epoch, entries, entries[-1].seq
        newest = self._arena.redis.hget(channel.meta_key(battle), "seq")
        return epoch, entries, int(newest or 0)

    def snapshot(self, battle: str) -> tuple[BattleView, str, int]:
        now = views.current(self._arena.db, self._arena.redis, self._arena.catalog, battle)
        return now.view, now.epoch, now.seq


def _read(ws: Any, wire: Wire, connection: Connection) -> None:
    """Feed what arrives to the parser and its messages to the connection, until one of the three has enough."""
    while ws.connected and not wire.outbox.dead:
        try:
            data = wire.recv(RECEIVE_BYTES)
        except OSError:
            return
        if not data:
            return
        connection.heard()
        try:
            ws.ws.receive_data(data)
            ws.connected = ws._handle_events()
        except RemoteProtocolError:
            return
        messages, ws.input_buffer[:] = list(ws.input_buffer), []
        for message in messages:
            connection.handle(message)
    if ws.ws.state is ConnectionState.LOCAL_CLOSING:
        _hear_out(ws.ws, wire, connection)


def _hear_out(parser: Any, wire: Wire, connection: Connection) -> None:
    """simple-websocket refused a message: read on until the peer agrees, or its unread bytes would undo our close."""
    connection.linger()
    try:
        while data := wire.recv(RECEIVE_BYTES):
            parser.receive_data(data)
            if any(isinstance(event, CloseConnection) for event in parser.events()):
                return
    except (OSError, RemoteProtocolError):
        return


def init_app(app: Flask, arena: Arena) -> None:
    """Register the route and its preconditions."""
    app.config["SOCK_SERVER_OPTIONS"] = {
        "subprotocols": [SUBPROTOCOL],
        "receive_bytes": RECEIVE_BYTES,
        "max_message_size": MAX_MESSAGE_BYTES,
        "thread_class": _NoThread,
    }
    live = Live(arena)
    app.extensions["arena_live"] = live
    sock = Sock(app)

    @app.before_request
    def before_upgrade() -> None:
        if request.path != PATH or "websocket" not in request.headers.get("Upgrade", "").lower():
            return
        if not same_site(request.headers, request.host, arena.settings.origins):
            raise CrossOrigin()
        live.check_room()
        # Compressing costs six times the memory and more than half the throughput per socket.
        request.environ.pop("HTTP_SEC_WEBSOCKET_EXTENSIONS", None)
        for key in _SOCKET_KEYS:
            if key in request.environ:
                request.environ[key] = wire(request.environ[key])

    @sock.route(PATH, endpoint="live_follow")  # type: ignore[untyped-decorator]
    def follow(ws: Any) -> None:
        live.serve(ws, current_owner())

    view: Any = app.view_functions["live_follow"]
    view._spec = {"hide": True}  # OpenAPI has no words for websockets
