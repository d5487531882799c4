"""Whether this worker takes new battles: what ``control drain`` and ``control resume`` switch.

Lives on the runtime's loop. Not kept over a restart: a worker that starts takes battles.
"""

from __future__ import annotations

from collections.abc import Callable

from worker.errors import AdminError
from worker.pool.operations import Operation, Operations


class Drain:
    """``on`` while no new battles are taken. ``running``: how many are queued or running here now."""

    def __init__(self, operations: Operations, running: Callable[[], int], changed: Callable[[], None]) -> None:
        self._operations = operations
        self._running = running
        self._changed = changed
        self._operation: Operation | None = None
        self.queues: tuple[str, ...] = ()
        """The queues this worker read when it began to drain, to be read again after it."""

    @property
    def on(self) -> bool:
        return self._operation is not None

    def begin(self, queues: tuple[str, ...]) -> Operation:
        """The operation is done when the last battle here has ended. Raises AdminError when on already.

        ``queues``: those read now; fewer than there are when a resume has not been carried out yet.
        """
        if self._operation is not None:
            raise AdminError(f"this worker {self._how_far()} already; take battles again with: {RESUME}")
        left = self._running()
        detail = f"takes no new battles; {_battles(left)} still to end" if left else "takes no new battles; none runs"
        self._operation = self._operations.begin("drain", "", detail)
        self.queues = tuple(dict.fromkeys((*self.queues, *queues)))
        self._changed()
        self.battle_ended()
        return self._operation

    def undo(self) -> Operation:
        """Take battles again. Raises AdminError when not draining."""
        if self._operation is None:
            raise AdminError("this worker takes battles already; to stop that: celery -A worker control drain")
        self._operations.end(self._operation.id, "failed", f"resumed with {_battles(self._running())} still running")
        self._operation = None
        self._changed()
        return self._operations.at_once("resume", "", "takes new battles again")

    def battle_ended(self) -> None:
        """To be called after each."""
        if self._operation is not None and not self._running():
            self._operations.end(self._operation.id, "done", "every battle has ended; the worker is idle")

    def _how_far(self) -> str:
        left = self._running()
        return f"is draining ({_battles(left)} still to end)" if left else "has drained"


RESUME = "celery -A worker control resume"


def _battles(count: int) -> str:
    return f"{count} battle{'s' * (count != 1)}"
