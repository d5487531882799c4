"""The records worker's sign of life, which ``/ready`` looks for."""

from __future__ import annotations

from typing import Any

_KEY = "arena:records:alive"
TTL_S = 10
BEAT_S = 2.0


def beat(redis: Any) -> None:
    """Say that a records worker is consuming; lasts :data:`TTL_S` seconds."""
    redis.set(_KEY, b"1", ex=TTL_S)


def records_alive(redis: Any) -> bool:
    """Whether any records worker has said so lately."""
    return bool(redis.exists(_KEY))
