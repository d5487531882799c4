"""Counting in Redis for flask-limiter: sliding windows, one round trip for all of a request's, and what happens while
Redis is away.

A sliding window is two counters: this window's, and the last one's weighed by how much of it the sliding window still
covers. flask-limiter asks its storage limit by limit, and again for what is left; five round trips would cost a prompt
more than everything else that is done for it. So they are all asked before (:meth:`Windows.take`), and the storage then
answers from what was found. A request that one of its limits refuses moves none of its counters.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import redis
from flask import g
from limits.storage import RedisStorage
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from web.errors import StorageUnavailable

log = logging.getLogger(__name__)

TIMEOUT_S = 1.0
"""Counting must not cost more than this; a Redis that is slower is as good as away."""
BLIND_S = 1.0
"""After Redis failed it is not asked again for this long."""
SCHEME = "arena-limits"

_TAKE = """
local found, room = {}, true
for i = 1, #ARGV / 3 do
  local old, new = KEYS[2 * i - 1], KEYS[2 * i]
  local limit, expiry = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1]) * 1000
  local ttl = redis.call('pttl', new)
  if ttl > 0 and ttl < expiry then
    redis.call('rename', new, old)
    redis.call('set', new, 0, 'PX', ttl + expiry)
  end
  local previous = tonumber(redis.call('get', old)) or 0
  local previous_ttl = math.max(redis.call('pttl', old), 0)
  local current = tonumber(redis.call('get', new)) or 0
  local current_ttl = math.max(redis.call('pttl', new), 0)
  local fits = math.floor(previous * previous_ttl / expiry) + current + tonumber(ARGV[3 * i]) <= limit
  room = room and fits
  found[i] = {fits and 1 or 0, previous, previous_ttl, current, current_ttl}
end
if room then
  for i, window in ipairs(found) do
    local amount = tonumber(ARGV[3 * i])
    window[4] = window[4] + amount
    if window[5] > 0 then
      redis.call('incrby', KEYS[2 * i], amount)
    else
      window[5] = tonumber(ARGV[3 * i - 1]) * 2000
      redis.call('set', KEYS[2 * i], amount, 'PX', window[5])
    end
  end
end
return found
"""
"""The rule of the library's ``acquire_sliding_window`` for several windows at once, all of them or none."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One limit of a request, which counts for ``amount``: at most ``most`` in ``seconds``, counted under ``key``."""

    key: str
    most: int
    seconds: int
    amount: int = 1


@dataclass(frozen=True, slots=True)
class Window:
    """What one limit has counted. ``left_s``: until the window that is being filled ends."""

    most: int
    seconds: int
    previous: int
    previous_left_s: float
    current: int
    left_s: float

    @property
    def remaining(self) -> int:
        """How many more would be let through now."""
        return max(0, self.most - self.current - math.floor(self.previous * self.previous_left_s / self.seconds))

    def wait_s(self, amount: int = 1) -> float:
        """Seconds until ``amount`` more, at most ``most``, are let through, if nobody asks meanwhile."""
        if self.remaining >= amount:
            return 0.0
        room = self.most - amount + 1
        if self.current < room:
            return _until_lighter(self.previous, self.previous_left_s, self.seconds, room - self.current)
        return self.left_s + _until_lighter(self.current, self.seconds, self.seconds, room)

    def reset_s(self) -> float:
        """What ``RateLimit-Reset`` says: when one more is let through, or, with some left, when this window ends."""
        return self.left_s if self.remaining else self.wait_s()


def _until_lighter(count: int, left_s: float, seconds: int, room: int) -> float:
    """Until ``count`` of an old window weighs less than ``room`` (at least 1): its weight falls evenly to 0."""
    return max(0.0, left_s - seconds * room / count) if count else 0.0


class Windows(RedisStorage):
    """Raises StorageUnavailable while Redis is away, when ``closed``; otherwise lets everything through then."""

    STORAGE_SCHEME = [SCHEME]  # noqa: RUF012 - as the library declares it

    def __init__(self, uri: str, *, connection_pool: Any, closed: int, **options: Any) -> None:
        super().__init__(uri, connection_pool=connection_pool, key_prefix="arena:limits", **options)
        self._closed = bool(closed)
        self._blind_until = 0.0
        self._take = self.get_connection().register_script(_TAKE.encode())

    def take(self, wanted: Sequence[Wanted]) -> dict[str, tuple[bool, Window]]:
        """By key: whether that limit has room, and where it stands. All are counted if all have room, else none.

        Empty while Redis is away. Raises StorageUnavailable.
        """
        if time.monotonic() < self._blind_until:
            return self._uncounted()
        keys = [self.prefixed_key(k) for w in wanted for k in (f"{{{w.key}}}/-1", f"{{{w.key}}}")]
        try:
            found = self._take(keys, [n for w in wanted for n in (w.most, w.seconds, w.amount)])
        except RedisError as error:
            self._blind_until = time.monotonic() + BLIND_S
            log.error("limits cannot be counted: %s", type(error).__name__)
            return self._uncounted()
        return {w.key: _read(w, row) for w, row in zip(wanted, found, strict=True)}

    def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """What flask-limiter asks: whether this limit lets the request through, as :meth:`take` found."""
        taken: dict[str, tuple[bool, Window]] = g.limits_taken
        return taken[key][0] if key in taken else True

    def _uncounted(self) -> dict[str, tuple[bool, Window]]:
        if self._closed:
            raise StorageUnavailable("Requests cannot be counted right now.")
        return {}


def _read(wanted: Wanted, row: Sequence[int]) -> tuple[bool, Window]:
    fits, before, before_ms, now, now_ms = row
    left_s = max(0.0, now_ms / 1000 - wanted.seconds)
    return bool(fits), Window(wanted.most, wanted.seconds, before, before_ms / 1000, now, left_s)


def connect(url: str) -> Any:
    """A pool of connections that give up soon: whoever is counted must not wait for a Redis that is away."""
    return redis.BlockingConnectionPool.from_url(
        url,
        max_connections=64,
        timeout=TIMEOUT_S,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 1),
    )
