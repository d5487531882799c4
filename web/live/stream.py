"""The websocket's twin for scripts, and for proxies that refuse websockets: the same followers as server-sent events.

Every event's ``data`` is the message as it goes over the websocket, and its ``id`` is ``<epoch>:<seq>``, so that a
client which comes back with ``Last-Event-ID`` resumes exactly where it was. Unlike a socket a stream keeps its
request's greenlet, and is for one battle; it too holds a cursor and no history.

It ends when nothing can follow: after ``battle.failed``, ``battle.cancelled`` or ``battle.revealed``. Whoever comes
back after that gets 204, which tells an EventSource to stop.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from web.errors import UnknownBattle
from web.live.follow import BattleFollower
from web.live.house import House
from web.live.hub import Announced
from web.live.sse import ServerSent
from web.live.visitor import Visitor
from worker.contract import events as ev
from worker.contract.events import BattleView

LIMIT_BYTES = 64 * 1024
KERNEL_BYTES = 128 * 1024
_CURSOR = re.compile(r"([0-9a-f]{0,64}):(\d{1,15})")
_OVER = (ev.BattleFailed, ev.BattleCancelled, ev.BattleRevealed)
_TAGS = [event.__struct_config__.tag for event in _OVER]
_ENDS = re.compile(rb'"type":"(?:%s)"' % b"|".join(re.escape(str(tag)).encode() for tag in _TAGS))


def cursor(last_event_id: str | None) -> tuple[str, int] | None:
    """``(epoch, seq)`` of a ``Last-Event-ID``; None for none, and for what was never one of ours."""
    found = _CURSOR.fullmatch(last_event_id or "")
    return (found[1], int(found[2])) if found else None


def is_over(view: BattleView) -> bool:
    """Whether nothing more can happen to a battle."""
    return view.state in ("failed", "cancelled") or view.models is not None


class EventSink:
    """What waits to be written to one stream: within a bound, or refused, which makes the follower read the log."""

    def __init__(self, ring: Callable[[], None] = lambda: None, limit: int = LIMIT_BYTES) -> None:
        self.lock = threading.Lock()
        self._ring = ring
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._limit = limit
        self.over = False

    @property
    def pending(self) -> bool:
        return self._bytes > 0

    def tell(self, told: Announced) -> bool:
        if self._bytes and self._bytes + len(told.raw) > self._limit:
            return False
        self._add(told.raw, told.epoch, told.seq)
        self.over = self.over or _ENDS.search(told.raw, 0, 160) is not None
        self._ring()
        return True

    def retell(self, message: msgspec.Struct, epoch: str, seq: int) -> None:
        match message:
            case ev.Resumed():
                seq = message.seq
            case ev.Snapshot(view=view):
                self.over = self.over or is_over(view)
            case ev.Batch(events=events):
                self.over = self.over or isinstance(events[-1], _OVER)
        self._add(ev.encode(message), epoch, seq)

    def take(self) -> bytes:
        """Everything that waits."""
        with self.lock:
            taken = b"".join(self._waiting)
            self._waiting.clear()
            self._bytes = 0
        return taken

    def _add(self, data: bytes, epoch: str, seq: int) -> None:
        event = b"id: %b:%d\ndata: %b\n\n" % (epoch.encode(), seq, data)
        self._waiting.append(event)
        self._bytes += len(event)


class EventStream(ServerSent):
    """One open stream of one battle."""

    def __init__(
        self,
        house: House,
        visitor: Visitor,
        battle: str,
        after: tuple[str, int] | None,
        sock: Any = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(sock, clock)
        self._house = house
        self._visitor = visitor
        self._sink = EventSink(self._bell.set)
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)
        epoch, seq = after or (None, None)
        self._follower = BattleFollower(battle, house.authority, self._sink, self._bell.set, epoch=epoch, after=seq)

    def __iter__(self) -> Iterator[bytes]:
        """Pieces of the body. Raises RedisError or SQLAlchemyError when the past cannot be read; the client returns."""
        self._house.hub.follow(self._follower.battle, self._follower)
        try:
            yield from self._hello()
            while self._bye is None and not (self._sink.over and not self._sink.pending):
                otherwise = self._wait()
                if self._revoked:
                    return
                if self._follower.is_behind and not self._sink.pending:
                    try:
                        self._follower.catch_up()
                    except UnknownBattle:
                        return  # deleted while it was watched
                yield from self._piece(self._sink.take() or otherwise)
                if self._follower.is_behind:
                    self._bell.set()
            yield from self._farewell()
        finally:
            self.close()

    def close(self) -> None:
        """Let go; also of a stream that never began."""
        self._house.hub.leave(self._follower.battle, self._follower)
        self._house.leave(self, self._visitor)
