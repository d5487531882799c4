"""Answering under a lease: until it is done, the lease is taken away, or an engine has died without a word."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from worker.answer import DIED, PREEMPTED
from worker.contract.events import Failure
from worker.pool.leases import Lease

T = TypeVar("T")

LOOK_S = 0.25
"""How often an engine that says nothing is asked whether it is alive; it has one look's time to say so itself."""


class Taken(Exception):  # noqa: N818
    """The engines are gone, and the answers with them. ``failure``: PREEMPTED or DIED."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.code)
        self.failure = failure


async def while_leased(lease: Lease, doing: Coroutine[Any, Any, T], dead: Callable[[], bool]) -> T:
    """What ``doing`` comes to. ``dead``: whether an engine it still waits for is. Raises Taken, and what it raises."""
    answering = asyncio.create_task(doing)
    preempted = asyncio.create_task(lease.preempted.wait())
    died = False
    try:
        while not answering.done():
            await asyncio.wait({answering, preempted}, timeout=LOOK_S, return_when=asyncio.FIRST_COMPLETED)
            if answering.done():
                break
            if preempted.done():
                raise Taken(PREEMPTED)
            before, died = died, dead()
            if died and before:
                raise Taken(DIED)
        return await answering
    finally:
        preempted.cancel()
        answering.cancel()
        await asyncio.gather(answering, preempted, return_exceptions=True)
