"""The catalog as web and records follow it: an operator's edit is taken up within seconds, without a restart.

Every process looks at the file by itself, so none has to be told and none can be forgotten. A worker takes its own
file up when told (``control reload_catalog``), since that may end engines; until then its reports keep what web has
read already from being drawn. A file that is refused changes nothing; the one line that says why is kept for whoever
looks after the arena.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from worker.contract.catalog import Catalog, CatalogError, load_catalog

log = logging.getLogger(__name__)

LOOK_S = 2.0
SETTLED_S = 1.0
"""A file younger than this may still be half written, and half a catalog can be a catalog: it is looked at again."""

_Seen = tuple[int, int, int]


class CatalogFile:
    """One file and what it last said. From any thread; what :attr:`now` returns never changes."""

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Raises CatalogError: a process that has never read a catalog has nothing to go on with."""
        self._path = path
        self._clock = clock
        self._wall = wall
        self._looking = threading.Lock()
        self._taken: _Seen | None = self._look()[0]
        self._catalog = load_catalog(path)
        self._before = self._taken
        self._next = clock() + LOOK_S
        self._refused = ""

    @property
    def now(self) -> Catalog:
        """The newest that was good; the file is looked at every so often, and read only when it has changed."""
        if self._clock() >= self._next and self._looking.acquire(blocking=False):
            try:
                self._take_up()
                self._next = self._clock() + LOOK_S
            finally:
                self._looking.release()
        return self._catalog

    @property
    def refused(self) -> str:
        """Why the file as it is now was not taken up; empty while it is in use."""
        return self._refused if self.now else ""

    def _take_up(self) -> None:
        seen, age = self._look()
        settled = seen == self._before or age >= SETTLED_S
        self._before = seen
        if seen == self._taken or not settled:
            return
        self._taken = seen
        try:
            read = load_catalog(self._path)
        except CatalogError as error:
            self._refused = str(error)
            log.warning("the catalog is not taken up, the last good one stays in use: %s", error)
            return
        self._refused = ""
        log.info("the catalog was read anew: %s", changes(self._catalog, read))
        self._catalog = read

    def _look(self) -> tuple[_Seen | None, float]:
        """What tells one state of the file from another (None: it is not there), and its age in seconds."""
        try:
            found = self._path.stat()
        except OSError:
            return None, 0.0
        return (found.st_mtime_ns, found.st_size, found.st_ino), self._wall() - found.st_mtime


def changes(old: Catalog, new: Catalog) -> str:
    """``added ant; removed bee``: who competes from now on, in few words."""
    came = [m for m in new.ids if m not in old.ids]
    went = [m for m in old.ids if m not in new.ids]
    parts = [f"{what} {', '.join(models)}" for what, models in (("added", came), ("removed", went)) if models]
    return "; ".join(parts) or "the same models"
