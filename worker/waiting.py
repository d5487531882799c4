"""Tells the people of a battle where it stands while it waits for its engines: one figure for both sides.

Which of two models was in memory already would tell them apart, so when the sides wait apart only the later one counts.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence

from worker.contract import events as ev
from worker.pool.pool import Pool
from worker.pool.progress import Queued
from worker.showing import Showing

LOOK_S = 0.3
"""Also how long a battle may wait without anybody being told."""
_JUMP_S = 5.0
_JUMP = 0.2

Waiting = ev.BattleQueued | ev.BattleLoading


async def tell_waiting(
    pool: Pool, jobs: Sequence[str], showing: Showing, clock: Callable[[], float] = time.monotonic
) -> None:
    """Until something is shown. ``jobs``: the names under which this battle may be in line. Raises StaleAttempt."""
    told: Waiting | None = None
    told_at = 0.0
    while not showing.settled.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(showing.settled.wait(), LOOK_S)
            return
        now = standing(pool, jobs)
        if now is None:
            told = None
        elif is_news(now, told, clock() - told_at):
            told, told_at = now, clock()
            await showing.publish([now])


def standing(pool: Pool, jobs: Sequence[str]) -> Waiting | None:
    """Where the battle stands; None when it waits for nothing."""
    found = [p for job in jobs if (p := pool.progress(job)) is not None]
    if not found:
        return None
    last = max(found, key=lambda p: p.eta_s or 0.0)
    if isinstance(last, Queued):
        return ev.BattleQueued(last.position, last.eta_s)
    return ev.BattleLoading(last.fraction, last.eta_s)


def is_news(now: Waiting, told: Waiting | None, since_s: float) -> bool:
    """An ETA that only counts down is none: the page counts itself. ``since_s``: seconds since ``told``."""
    if isinstance(now, ev.BattleQueued) and isinstance(told, ev.BattleQueued):
        same = now.position == told.position
    elif isinstance(now, ev.BattleLoading) and isinstance(told, ev.BattleLoading):
        same = now.fraction == told.fraction
    else:
        return True
    if not same or now.eta_s is None or told.eta_s is None:
        return not same or now.eta_s != told.eta_s
    counted_down = max(told.eta_s - since_s, 0.0)
    return abs(now.eta_s - counted_down) > max(_JUMP_S, _JUMP * counted_down)
