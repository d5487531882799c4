"""Where a job is sent: the rule of :mod:`worker.contract.placement`, told what this process has sent lately."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence

from worker.contract.placement import Fleet
from worker.contract.residency import Residency


class Placer:
    """One per process. Thread-safe."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        dice: random.Random = random.Random(),  # noqa: B008, S311 (spreads load, decides nothing)
    ) -> None:
        self._clock = clock
        self._dice = dice
        self._lock = threading.Lock()
        self._fleet = Fleet()

    def place(self, reports: Sequence[Residency], models: Sequence[str]) -> str | None:
        """The worker a job for ``models`` is sent to; None for the queue that all of them read.

        That is where it goes while there is only one, who may have another name tomorrow, and when nobody takes it.
        """
        if len(reports) < 2:
            return None
        with self._lock:
            return self._fleet.place(models, self._clock(), self._dice, reports)
