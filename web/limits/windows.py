"""Counting in Redis for flask-limiter: sliding windows, one round trip each, and what happens while Redis is away.

A sliding window is two counters: this window's, and the last one's weighed by how much of it the sliding window still
covers. flask-limiter's own storage says yes or no and must be asked again for what is left; ours answers both at once,
since every reply tells its client where it stands.
"""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass
from typing import Any

import redis
from flask import g, has_request_context
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

_ACQUIRE = """
local limit, expiry, amount = tonumber(ARGV[1]), tonumber(ARGV[2]) * 1000, tonumber(ARGV[3])
local ttl = redis.call('pttl', KEYS[2])
if ttl > 0 and ttl < expiry then
  redis.call('rename', KEYS[2], KEYS[1])
  redis.call('set', KEYS[2], 0, 'PX', ttl + expiry)
end
local previous = tonumber(redis.call('get', KEYS[1])) or 0
local previous_ttl = math.max(redis.call('pttl', KEYS[1]), 0)
local current = tonumber(redis.call('get', KEYS[2])) or 0
local current_ttl = math.max(redis.call('pttl', KEYS[2]), 0)
local taken = 0
if math.floor(previous * previous_ttl / expiry) + current + amount <= limit then
  taken = 1
  current = current + amount
  if current_ttl > 0 then
    redis.call('incrby', KEYS[2], amount)
  else
    current_ttl = expiry * 2
    redis.call('set', KEYS[2], amount, 'PX', current_ttl)
  end
end
return {taken, previous, previous_ttl, current, current_ttl}
"""
"""The same rule as the library's ``acquire_sliding_window``, telling what it found."""


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

    def wait_s(self) -> float:
        """Seconds until one more is let through, if nobody asks meanwhile."""
        if self.remaining > 0:
            return 0.0
        if self.current < self.most:
            return _until_lighter(self.previous, self.previous_left_s, self.seconds, self.most - self.current)
        return self.left_s + _until_lighter(self.current, self.seconds, self.seconds, self.most)

    def reset_s(self) -> float:
        """What ``RateLimit-Reset`` says: when one more is let through, or, with some left, when this window ends."""
        return self.left_s if self.remaining else self.wait_s()


def _until_lighter(count: int, left_s: float, seconds: int, room: int) -> float:
    """Until ``count`` of an old window weighs less than ``room`` (at least 1): its weight falls evenly to 0."""
    return max(0.0, left_s - seconds * room / count) if count else 0.0


class Windows(RedisStorage):
    """Remembers each request's windows in ``g.limit_windows``, by key. Raises StorageUnavailable when ``closed``."""

    STORAGE_SCHEME = [SCHEME]  # noqa: RUF012 - as the library declares it

    def __init__(self, uri: str, *, connection_pool: Any, closed: int, **options: Any) -> None:
        super().__init__(uri, connection_pool=connection_pool, key_prefix="arena:limits", **options)
        self._closed = bool(closed)
        self._blind_until = 0.0
        self._acquire = self.get_connection().register_script(_ACQUIRE)

    def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Whether one more is let through; counts it if so."""
        if time.monotonic() < self._blind_until:
            return self._uncounted()
        previous, current = self._previous_window_key(key), self._current_window_key(key)
        keys = [self.prefixed_key(previous), self.prefixed_key(current)]
        try:
            found = self._acquire(keys, [limit, expiry, amount])
        except RedisError as error:
            self._blind_until = time.monotonic() + BLIND_S
            log.error("limits cannot be counted: %s", type(error).__name__)
            return self._uncounted()
        taken, before, before_ms, now, now_ms = (int(n) for n in found)
        if has_request_context():
            left_s = max(0.0, now_ms / 1000 - expiry)
            windows: dict[str, Window] = g.setdefault("limit_windows", {})
            windows[key] = Window(limit, expiry, before, before_ms / 1000, now, left_s)
        return bool(taken)

    def _uncounted(self) -> bool:
        if self._closed:
            raise StorageUnavailable("Requests cannot be counted right now.")
        return True


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
