"""Letting others know, after the commit: those who watch, and whoever makes the leaderboard."""

from __future__ import annotations

import logging

from redis.exceptions import RedisError

from web.context import Arena
from web.queue import QueueError
from worker.contract import watch
from worker.contract.watch import What

log = logging.getLogger(__name__)


def tell(arena: Arena, what: What) -> None:
    """Those who watch ask again for what has changed; nobody is told twice when Redis is away."""
    try:
        watch.tell(arena.redis, watch.Changed(what))
    except RedisError as error:
        log.warning("those who watch were not told of changed %s: %s", what, type(error).__name__)


def refit(arena: Arena) -> None:
    """Have the leaderboard made anew; without a broker it is, a minute later."""
    try:
        arena.queue.refresh_ratings()
    except QueueError as error:
        log.warning("the leaderboard will follow a little later: %s", type(error).__name__)
