"""What operators watch, as server-sent events: each worker's board as it is told, and that something has changed.

Every event is whole, so nothing is numbered and nothing is resumed: who comes back has everything a second later. A
slow reader gets the newest board of each worker and none of those before.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from web.live.house import House
from web.live.hub import Announced
from web.live.sse import HEARTBEAT_S, ServerSent
from web.live.visitor import Visitor
from worker.contract import watch


class _Kind(msgspec.Struct):
    """As much of an event as it takes to know which earlier one it replaces."""

    type: str
    worker: str = ""
    what: str = ""
    subject: str = ""


class OperatorStream(ServerSent):
    """One open stream. ``valid``: whether the key it was opened with still is; asked at every heartbeat."""

    def __init__(
        self,
        house: House,
        visitor: Visitor,
        key: str,
        valid: Callable[[], bool],
        sock: Any = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(sock, clock)
        self._house = house
        self._visitor = visitor
        self._key = key
        self._valid = valid
        self._lock = threading.Lock()
        self._waiting: dict[tuple[str, str, str], bytes] = {}
        self._checked = clock()

    def __iter__(self) -> Iterator[bytes]:
        """Pieces of the body; ends when the server goes away or the key is revoked."""
        self._house.hub.follow(watch.OPERATORS, self)
        try:
            yield from self._hello()
            while self._bye is None and not self._revoked:
                otherwise = self._wait()
                if self._clock() - self._checked >= HEARTBEAT_S:
                    self._revoked = not self._valid()
                    self._checked = self._clock()
                if not self._revoked:
                    yield from self._piece(self._take() or otherwise)
            yield from self._farewell()
        finally:
            self.close()

    def close(self) -> None:
        """Let go; also of a stream that never began."""
        self._house.hub.leave(watch.OPERATORS, self)
        self._house.leave(self, self._visitor)

    # ── what the hub and the house tell ──────────────────────────────────────────────────────────────────────────

    def subscribed(self) -> None:
        """Nothing was missed: a board comes every second."""

    def announced(self, told: Announced) -> None:
        kind = msgspec.json.decode(told.raw, type=_Kind)
        if kind.what == "keys" and kind.subject == self._key:
            self.revoked()
        with self._lock:
            self._waiting[kind.type, kind.worker, kind.what] = b"data: %b\n\n" % told.raw
        self._bell.set()

    def _take(self) -> bytes:
        with self._lock:
            taken, self._waiting = b"".join(self._waiting.values()), {}
        return taken
