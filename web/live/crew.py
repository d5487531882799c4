"""A few hands for all sockets of the process: what has to wait for the database or the store is done by one of them.

When a thousand sockets come back at once they stand in line here, instead of a thousand threads standing in line at
the database until it loses patience with them.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

log = logging.getLogger(__name__)

HANDS = 24


class Crew:
    """At most ``hands`` threads (greenlets under gunicorn), none while there is nothing to do."""

    def __init__(self, hands: int = HANDS) -> None:
        self._hands = hands
        self._at_work = 0
        self._jobs: deque[Callable[[], None]] = deque()
        self._lock = threading.Lock()

    def __call__(self, job: Callable[[], None]) -> None:
        """Have ``job`` done soon. Never waits."""
        with self._lock:
            self._jobs.append(job)
            if self._at_work >= self._hands:
                return
            self._at_work += 1
        threading.Thread(target=self._work, name="live-crew", daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._jobs:
                    self._at_work -= 1
                    return
                job = self._jobs.popleft()
            try:
                job()
            except Exception:
                log.exception("a job for a socket failed")
