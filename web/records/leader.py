"""Of several records workers one does what must not be done twice at a time."""

from __future__ import annotations

import secrets
from typing import Any

LEADS_S = 10


class Leader:
    """A claim on ``key`` in Redis that lasts :data:`LEADS_S` seconds after it was last renewed."""

    def __init__(self, redis: Any, key: str) -> None:
        self._redis = redis
        self._key = key
        self._me = secrets.token_hex(8)

    def leads(self) -> bool:
        """Whether this one leads now; renews its claim. Raises RedisError."""
        if self._redis.set(self._key, self._me, nx=True, ex=LEADS_S):
            return True
        if self._redis.get(self._key) != self._me.encode():
            return False
        self._redis.expire(self._key, LEADS_S)
        return True
