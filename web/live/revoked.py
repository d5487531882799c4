"""Lines that were opened with a key end when the key is revoked: at once, or, when nobody could tell, soon after."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from web.access import ENVIRONMENT
from web.models import ApiKey
from worker.contract import watch

if TYPE_CHECKING:
    from web.db import Database
    from web.live.hub import Announced, Hub

log = logging.getLogger(__name__)

CHECK_S = 15.0
"""The database is asked this often about all keys that hold lines."""


class Holder(Protocol):
    """A line."""

    def revoked(self) -> None:
        """Its key opens nothing any more. Must not wait for anything."""


class Revoked:
    """Follows what is told of keys while any line of this process was opened with one. Thread-safe.

    ``spawn``: has something done that may wait for the database.
    """

    def __init__(
        self,
        hub: Hub,
        db: Database,
        spawn: Callable[[Callable[[], None]], Any],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hub = hub
        self._db = db
        self._spawn = spawn
        self._clock = clock
        self._lock = threading.Lock()
        self._held: dict[str, set[Holder]] = {}
        self._checked = clock()

    def hold(self, key: str, line: Holder) -> None:
        """End ``line`` when ``key`` (an id) is revoked."""
        with self._lock:
            first = not self._held
            self._held.setdefault(key, set()).add(line)
            if first:
                self._checked = self._clock()
        self._hub.follow(watch.KEYS, self)

    def let_go(self, key: str, line: Holder) -> None:
        """Undo :meth:`hold`; doing so twice does nothing."""
        with self._lock:
            self._held.get(key, set()).discard(line)
            if not self._held.get(key):
                self._held.pop(key, None)
            if not self._held:
                self._hub.leave(watch.KEYS, self)

    def subscribed(self) -> None:
        """What was told before is in the database, which is asked soon."""

    def announced(self, told: Announced) -> None:
        self._end({msgspec.json.decode(told.raw, type=watch.Changed).subject})

    def tick(self) -> None:
        """About once a second: whether it is time to ask the database."""
        with self._lock:
            due = bool(self._held) and self._clock() - self._checked >= CHECK_S
            if due:
                self._checked = self._clock()
        if due:
            self._spawn(self._check)

    def _check(self) -> None:
        with self._lock:
            held = set(self._held) - {ENVIRONMENT}
        valid = select(ApiKey.id).where(ApiKey.id.in_(held), ApiKey.revoked_at.is_(None))
        try:
            self._end(held - set(self._db.read(lambda s: list(s.scalars(valid)))))
        except SQLAlchemyError as error:
            log.warning("keys that hold lines are not looked at: %s", type(error).__name__)

    def _end(self, keys: set[str]) -> None:
        with self._lock:
            lines = [line for key in keys for line in self._held.get(key, ())]
        for line in lines:
            line.revoked()
