"""What each worker tells the rest of the arena about its engines and its queue, for sampling, admission and health.

Internal to the server: it names models, so nothing of it may reach a client before a vote except sums.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import msgspec

TTL_S = 10
"""A worker that has not reported for this long is not there."""
_PREFIX = "arena:residency:"
_WORKERS = "arena:workers"
"""Set of names: to look for keys would take a walk over those of every battle of the day."""

# KEYS: names. ARGV: prefix of the reports. A name without a report is forgotten; one that was only slow is back with
# its next.
_READ = """
local told = {}
for _, name in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  local raw = redis.call('GET', ARGV[1] .. name)
  if raw then told[#told + 1] = raw else redis.call('SREM', KEYS[1], name) end
end
return told
"""


class Residency(msgspec.Struct, frozen=True):
    """One worker's report. ``at``: unix seconds. ``accepting`` is false while it drains or is still starting."""

    worker: str
    at: float
    accepting: bool
    capacity: int
    models: tuple[str, ...] = ()
    ready: tuple[str, ...] = ()
    loading: tuple[str, ...] = ()
    failed: dict[str, str] = {}
    running: int = 0
    waiting: int = 0
    queue_bound: int = 0
    eta_s: float | None = None
    sleeping: tuple[str, ...] = ()
    eta: dict[str, float] = {}
    """Seconds until a battle of that pair would start if it came now, by :func:`pair_key`."""
    refuses: dict[str, float] = {}
    """Pairs whose battles would be refused now, and the seconds after which to try again."""
    refuses_alone: dict[str, float] = {}
    """Models whose chats would be refused now, and the seconds after which to try again."""


def pair_key(one: str, other: str) -> str:
    """The name of an unordered pair of models in a report."""
    return "|".join(sorted((one, other)))


def _key(worker: str) -> str:
    return f"{_PREFIX}{worker}"


async def report(redis: Any, residency: Residency) -> None:
    """Async client. Lasts :data:`TTL_S` seconds."""
    async with redis.pipeline(transaction=False) as pipe:
        pipe.set(_key(residency.worker), msgspec.json.encode(residency), ex=TTL_S)
        pipe.sadd(_WORKERS, residency.worker)
        await pipe.execute()


async def withdraw(redis: Any, worker: str) -> None:
    """Async client. The worker is leaving on purpose."""
    await redis.delete(_key(worker))
    await redis.srem(_WORKERS, worker)


def read(redis: Any) -> list[Residency]:
    """Reports of all workers alive now, oldest first. Sync client; one round trip, since every prompt waits for it."""
    told = redis.register_script(_READ)(keys=[_WORKERS], args=[_PREFIX])
    found = (msgspec.json.decode(raw, type=Residency) for raw in told)
    return sorted(found, key=lambda r: r.at)


def workers(redis: Any) -> list[str]:
    """Names of workers that reported lately; some may be gone. Sync client."""
    return sorted(name.decode() if isinstance(name, bytes) else name for name in redis.smembers(_WORKERS))


def ready_models(reports: Iterable[Residency]) -> list[str]:
    """Ids of models resident and ready anywhere, without repeats."""
    return sorted({model for report_ in reports for model in report_.ready})


def age(residency: Residency, now: float | None = None) -> float:
    """Seconds since the report was written."""
    return (time.time() if now is None else now) - residency.at
