"""All lines of this process, websockets and event streams: who may come in, and how everybody leaves."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from web.errors import NoRoom, TooManyConnections
from web.live.authority import ArenaAuthority
from web.live.crew import Crew
from web.live.hub import Hub
from web.live.reactor import Reactor
from web.live.revoked import Revoked
from web.live.visitor import Caps, Visitor

if TYPE_CHECKING:
    from web.context import Arena

SPARE = 200
"""Refused sockets that are let in at a time, only to be told so by a close code: browsers do not see a 429."""


class Guest(Protocol):
    """A line as the house knows it."""

    def goodbye(self, reconnect_after_ms: int) -> None:
        """The server is going away."""

    def tick(self) -> None:
        """A second has passed."""

    def revoked(self) -> None:
        """The key it was opened with opens nothing any more."""


class House:
    """Nothing runs until somebody comes in. Thread-safe.

    ``counted`` is told how many lines there are, and how many of them are event streams, whenever that changes.
    """

    def __init__(self, arena: Arena, counted: Callable[[int, int], None] = lambda lines, streams: None) -> None:
        settings = arena.settings
        self._most = settings.max_sockets
        self._caps = Caps(settings.max_sockets_per_session, settings.max_sockets_per_address)
        self._counted = counted
        self._lock = threading.Lock()
        self._guests: set[Guest] = set()
        self._refused: set[Guest] = set()
        self._streams: set[Guest] = set()
        self._nobody = threading.Event()
        self._nobody.set()
        self.hub = Hub(settings.redis_url)
        self.authority = ArenaAuthority(arena)
        self.crew = Crew()
        self.reactor = Reactor()
        self.reactor.every_second(self.hub.tick)
        self.reactor.every_second(self._tick_streams)
        self.revoked = Revoked(self.hub, arena.db, self.crew)
        self.reactor.every_second(self.revoked.tick)
        self.going = False

    def __len__(self) -> int:
        return len(self._guests)

    def check_open(self) -> None:
        """Raises NoRoom when nobody more can even be told why not."""
        if len(self._refused) >= SPARE:
            raise NoRoom(retry_after_s=5)

    def enter(self, guest: Guest, visitor: Visitor, *, stream: bool = False) -> None:
        """Count a line in. Raises TooManyConnections or NoRoom, and then it is not in.

        ``stream``: the reactor has no descriptor of it, so the house gives it its ticks.
        """
        if len(self._guests) >= self._most:
            raise NoRoom(retry_after_s=5)
        whose = self._caps.enter(visitor)
        if whose is not None:
            raise TooManyConnections(f"Too many connections of one {whose}.", retry_after_s=10)
        with self._lock:
            self._guests.add(guest)
            self._nobody.clear()
            if stream:
                self._streams.add(guest)
            self._counted(len(self._guests), len(self._streams))
        if visitor.key is not None:
            self.revoked.hold(visitor.key, guest)
        self.reactor.start()

    def welcomed(self, guest: Guest) -> None:
        """It has entered and been greeted. Who comes while the server goes is not refused, but told what all are."""
        if self.going:
            guest.goodbye(reconnect_after_ms=_soon())

    def see_out(self, guest: Guest) -> None:
        """It was refused, and is being told so."""
        self._refused.add(guest)

    def leave(self, guest: Guest, visitor: Visitor) -> None:
        """Undo :meth:`enter` or :meth:`see_out`; leaving twice does nothing."""
        with self._lock:
            self._refused.discard(guest)
            if guest not in self._guests:
                return
            self._guests.discard(guest)
            self._streams.discard(guest)
            self._counted(len(self._guests), len(self._streams))
            if not self._guests:
                self._nobody.set()
        self._caps.leave(visitor)
        if visitor.key is not None:
            self.revoked.let_go(visitor.key, guest)

    def shutdown(self) -> None:
        """Tell everybody to come back elsewhere in a moment, spread out so that they do not come all at once."""
        self.going = True
        with self._lock:
            leaving = list(self._guests)
        for guest in leaving:
            guest.goodbye(reconnect_after_ms=_soon())

    def wait_empty(self, timeout: float) -> bool:
        """Until everybody has left, or ``timeout`` seconds."""
        return self._nobody.wait(timeout)

    def _tick_streams(self) -> None:
        with self._lock:
            streams = list(self._streams)
        for stream in streams:
            stream.tick()


def _soon() -> int:
    """Milliseconds; not the same for everybody."""
    return random.randint(300, 3000)  # noqa: S311
