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
SILENT_S = 4.0
"""A worker reports every two seconds; one that is late by as much again may be dead."""
_PREFIX = "arena:residency:"
_WORKERS = "arena:workers"
"""Set of names: to look for keys would take a walk over those of every battle of the day."""
_QUEUES = "arena:queues"
"""Sorted set: when each worker that has a queue of its own reported last, in unix seconds."""

# KEYS: names. ARGV: prefix of the reports. A name without a report is forgotten; one that was only slow is back with
# its next.
# By the server's own clock, each with the milliseconds it has left: those of two hosts may differ by more.
_READ = """
local told = {}
for _, name in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  local key = ARGV[1] .. name
  local raw = redis.call('GET', key)
  if raw then
    told[#told + 1] = raw
    told[#told + 1] = redis.call('PTTL', key)
  else
    redis.call('SREM', KEYS[1], name)
  end
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
    bring_s: dict[str, float] = {}
    """Measured seconds to bring up each model that is not in memory."""
    line_s: float = 0.0
    """Seconds until all that waits now is expected to have started."""
    each_s: float = 0.0
    """Seconds by which one more battle puts off the next."""
    asked: dict[str, float] = {}
    """Battles a minute lately, by :func:`pair_key`, and chats by model."""
    waits: tuple[str, ...] = ()
    """What would find others waiting there for the same engines: battles by :func:`pair_key`, chats by model."""
    planned: tuple[str, ...] = ()
    """Models that are to be loaded before or after those that are loading now."""
    silent_s: float = 0.0
    """Seconds since the report came, as its reader found; of interest only once they are many."""


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
        pipe.zadd(_QUEUES, {residency.worker: residency.at})
        await pipe.execute()


async def withdraw(redis: Any, worker: str) -> None:
    """Async client. The worker is leaving on purpose."""
    await redis.delete(_key(worker))
    await redis.srem(_WORKERS, worker)


def read(redis: Any) -> list[Residency]:
    """Reports of all workers alive now, oldest first. Sync client; one round trip, since every prompt waits for it."""
    return _decoded(redis.register_script(_READ)(keys=[_WORKERS], args=[_PREFIX]))


async def read_async(redis: Any) -> list[Residency]:
    """:func:`read` for an async client."""
    return _decoded(await redis.register_script(_READ)(keys=[_WORKERS], args=[_PREFIX]))


def _decoded(told: list[Any]) -> list[Residency]:
    found = [
        _with_silence(msgspec.json.decode(raw, type=Residency), left)
        for raw, left in zip(*[iter(told)] * 2, strict=True)
    ]
    return sorted(found, key=lambda r: r.at)


def _with_silence(report_: Residency, left_ms: int) -> Residency:
    silent_s = TTL_S - left_ms / 1000
    if left_ms < 0 or silent_s < SILENT_S:
        return report_
    return msgspec.structs.replace(report_, silent_s=silent_s)


def workers(redis: Any) -> list[str]:
    """Names of workers that reported lately; some may be gone. Sync client."""
    return sorted(name.decode() if isinstance(name, bytes) else name for name in redis.smembers(_WORKERS))


def with_queues(redis: Any) -> dict[str, float]:
    """Workers that have or had a queue of their own, dead ones too: when each reported last. Sync client."""
    return {name.decode(): float(at) for name, at in redis.zrange(_QUEUES, 0, -1, withscores=True)}


def forget_queue(redis: Any, worker: str) -> None:
    """Nothing is in its queue and it will not come back. Sync client."""
    redis.zrem(_QUEUES, worker)


def ready_models(reports: Iterable[Residency]) -> list[str]:
    """Ids of models resident and ready anywhere, without repeats."""
    return sorted({model for report_ in reports for model in report_.ready})


def silent(report_: Residency) -> bool:
    """Whether it is so late with its next report that it may be dead."""
    return report_.silent_s > SILENT_S


def age(residency: Residency, now: float | None = None) -> float:
    """Seconds since the report was written."""
    return (time.time() if now is None else now) - residency.at
