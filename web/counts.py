"""What came of battles, counted once for the whole arena, in Redis: whichever process is asked for metrics can tell.

The records worker counts when it tells people of an outcome. A store that was lost begins at 0 again, as counters may.
"""

from __future__ import annotations

from typing import Any

from redis.exceptions import RedisError

KEY = "arena:counts"


def add(redis: Any, word: str) -> None:
    """One more of ``word``. Never raises: counting may not hold up what is counted."""
    try:
        redis.hincrby(KEY, word, 1)
    except RedisError:
        return


def read(redis: Any) -> dict[str, int]:
    """All of them. Raises RedisError."""
    return {word.decode(): int(count) for word, count in redis.hgetall(KEY).items()}
