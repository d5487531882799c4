"""What every request and every records task works with, in one frozen object."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import redis
from flask import current_app

from web.arena.placing import Placer
from web.catalog_file import CatalogFile
from web.db import Database
from web.queue import Queue
from web.settings import WebSettings
from worker.contract.catalog import Catalog

REDIS_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Arena:
    """``redis`` speaks bytes and is safe to share between threads and greenlets."""

    settings: WebSettings
    catalogs: CatalogFile
    db: Database
    redis: Any
    queue: Queue
    placer: Placer = field(default_factory=Placer)

    @property
    def catalog(self) -> Catalog:
        """As of now: two uses may see two catalogs, each good."""
        return self.catalogs.now


def build_arena(settings: WebSettings, queue: Queue) -> Arena:
    """Connects to nothing yet. Raises CatalogError."""
    return Arena(
        settings=settings,
        catalogs=CatalogFile(settings.catalog),
        db=Database(settings.database),
        redis=connect_redis(settings.redis_url),
        queue=queue,
    )


def connect_redis(url: str) -> Any:
    """A client whose callers wait their turn for at most 64 connections, and for no command longer than 5 s."""
    pool = redis.BlockingConnectionPool.from_url(
        url,
        max_connections=64,
        timeout=REDIS_TIMEOUT_S,
        socket_timeout=REDIS_TIMEOUT_S,
        socket_connect_timeout=2.0,
        health_check_interval=30,
    )
    return redis.Redis(connection_pool=pool)


def arena() -> Arena:
    """The current app's."""
    return cast(Arena, current_app.extensions["arena"])
