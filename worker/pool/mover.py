"""One move at a time: which engine moves now, how much of it is left, and what to do when it has ended."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from worker.pool.states import Costs, Load, Move, Sleep, Wake

log = logging.getLogger(__name__)


class Mover:
    """``begin`` is refused by assertion while a move is on; ``ended(move)`` is called on the loop after each."""

    def __init__(self, clock: Callable[[], float], ended: Callable[[Move], None]) -> None:
        self._clock = clock
        self._ended = ended
        self._task: asyncio.Task[None] | None = None
        self._began = 0.0
        self.moving: Move | None = None

    @property
    def model(self) -> str | None:
        """The engine that moves now."""
        return self.moving.model if self.moving else None

    def begin(self, move: Move, work: Coroutine[Any, Any, None]) -> None:
        assert self.moving is None, "one move at a time"
        self.moving, self._began = move, self._clock()
        self._task = asyncio.create_task(work, name=f"move {move.model}")
        self._task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        move, self.moving, self._task = self.moving, None, None
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a move failed: %s", type(error).__name__)
        if move is not None:
            self._ended(move)

    def left_s(self, costs: Callable[[str], Costs]) -> float:
        """Seconds that are expected to remain of the current move."""
        if self.moving is None:
            return 0.0
        known = costs(self.moving.model)
        expected = {Load: known.load_s, Wake: known.wake_s, Sleep: known.sleep_s}.get(type(self.moving), known.unload_s)
        return max(expected - (self._clock() - self._began), 0.0)

    async def stop(self) -> None:
        """Give up the current move; its engine is left to be unloaded."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
