"""Every operator's command, refused ones too, as one JSON line of the log ``worker.audit`` and in Redis.

The log line is written where the command ran; Redis is written on the runtime's loop, so that a slow store delays
nobody and a lost one loses nothing but that copy.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

from redis.exceptions import RedisError

from worker.contract import audit
from worker.contract.audit import AuditEntry

log = logging.getLogger(__name__)

WRITE_LIMIT_S = 5.0
LAST_WRITES_S = 1.0
"""How long a worker that stops waits for its last entries."""


class Audit:
    """The copy in Redis, in the order of the commands. ``redis``: an async client of ``loop``."""

    def __init__(self, redis: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._redis = redis
        self._loop = loop
        self._entries: asyncio.Queue[AuditEntry] = asyncio.Queue()

    def keep(self, entry: AuditEntry) -> None:
        """From any thread; returns at once."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._entries.put_nowait, entry)

    async def write_always(self) -> None:
        """A task of the loop; cancel it to end it."""
        while True:
            entry = await self._entries.get()
            try:
                async with asyncio.timeout(WRITE_LIMIT_S):
                    await audit.append(self._redis, entry)
            except (RedisError, OSError, TimeoutError) as error:
                log.warning("%s of %s is not in Redis: %s", entry.command, entry.worker, type(error).__name__)
            finally:
                self._entries.task_done()

    async def written(self) -> None:
        """Returns when every entry so far is in Redis, or could not be in :data:`LAST_WRITES_S`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WRITES_S):
                await self._entries.join()


def record(entry: AuditEntry, copy: Audit | None) -> None:
    """Never raises. Without a ``copy`` (the worker is still starting) the log has the only one."""
    log.info("%s", audit.line(entry))
    if copy is not None:
        copy.keep(entry)
