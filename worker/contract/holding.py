"""Which turns each worker has in its hands, so that a turn nobody has can be found within seconds of a worker's death.

A worker says it anew with every report. One that was killed and started again says so by what it no longer lists; one
that stays away falls silent, and its word lapses.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from worker.contract import residency

TTL_S = 7
"""A worker that has not spoken for this long holds nothing any more."""
_PREFIX = "arena:holding:"


async def report(redis: Any, worker: str, task_ids: Iterable[str]) -> None:
    """Async client. Replaces what this worker said before; lasts :data:`TTL_S` seconds."""
    await redis.set(_PREFIX + worker, msgspec.json.encode(list(task_ids)), ex=TTL_S)


async def withdraw(redis: Any, worker: str) -> None:
    """Async client. The worker is leaving on purpose and has handed back what it had."""
    await redis.delete(_PREFIX + worker)


def read(redis: Any) -> set[str]:
    """Task ids in the hands of any worker alive now. Sync client."""
    keys = [_PREFIX + worker for worker in residency.workers(redis)]
    held = (msgspec.json.decode(raw, type=list[str]) for raw in (redis.mget(keys) if keys else ()) if raw)
    return {task for tasks in held for task in tasks}
