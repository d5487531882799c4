"""Who may end work that is under way: its asker, an operator, its deadline, or this worker's shutdown."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, Literal

from worker.contract.events import CancelledBy

StopReason = CancelledBy | Literal["deadline", "shutdown"]


class HandedBack(Exception):  # noqa: N818
    """This worker will not serve the job: it goes to another one's queue, or back to where everybody looks."""

    def __init__(self, to: str | None = None) -> None:
        super().__init__("handed back")
        self.to = to
        """The worker that is to have it."""


@dataclass(slots=True)
class Stop:
    """Asks a running battle or chat to stop; the first reason wins."""

    reason: StopReason | None = None
    words: str = ""
    """An operator's, for the person who asked."""
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    def ask(self, reason: StopReason, words: str = "") -> None:
        if self.reason is None:
            self.reason, self.words = reason, words
            self.asked.set()

    async def cuts_short(self, doing: Coroutine[Any, Any, None], deadline: float) -> bool:
        """Run ``doing`` until it has ended (False; its error is raised) or has been stopped (True).

        ``deadline``: unix seconds at which it is stopped for being late.
        """
        late = asyncio.get_running_loop().call_later(max(deadline - time.time(), 0.0), self.ask, "deadline")
        work = asyncio.create_task(doing)
        stopped = asyncio.create_task(self.asked.wait())
        try:
            await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                work.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await work
        finally:
            late.cancel()
            stopped.cancel()
            work.cancel()
        if work.cancelled():
            return True
        work.result()
        return False
