"""Every operator's command, refused ones too, as one JSON line of the log ``worker.audit`` and in Redis.

The log line is written where the command ran; Redis is written by the runtime's loop, so that a slow store delays
nobody and a lost one loses nothing but that copy.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Protocol

from redis.exceptions import RedisError

from worker.contract import audit
from worker.contract.audit import AuditEntry

log = logging.getLogger(__name__)

WRITE_LIMIT_S = 5.0


class Loop(Protocol):
    """What is needed of the runtime."""

    def begin(self, work: Any) -> None: ...


def record(entry: AuditEntry, runtime: Loop | None) -> None:
    """Returns at once and never raises. Without a ``runtime`` (still starting) the log has the only copy."""
    log.info("%s", audit.line(entry))
    if runtime is not None:
        runtime.begin(lambda redis: _store(redis, entry))


async def _store(redis: Any, entry: AuditEntry) -> None:
    try:
        async with asyncio.timeout(WRITE_LIMIT_S):
            await audit.append(redis, entry)
    except (RedisError, OSError, TimeoutError) as error:
        log.warning("the entry above is not in Redis: %s", type(error).__name__)
