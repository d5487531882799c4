"""Puts the battles of batches in line, only as far as there is room: people come first.

Everything it needs to know is in the database and in the workers' own reports, so a records worker that was killed goes
on where it was; and an item is claimed in the transaction that stores its battle, so none begins twice.
"""

from __future__ import annotations

import logging
import math
from functools import partial

from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from web.arena import batch_feed, battles
from web.arena.batch_feed import Next, NotWaiting
from web.context import Arena
from web.errors import ArenaError
from web.queue import QueueError
from web.records.leader import Leader
from worker.contract import residency
from worker.contract.residency import Residency

log = logging.getLogger(__name__)

EVERY_S = 1.0
_UNBOUNDED = 16
"""Battles at a time for a worker that takes any number."""


class Feeder:
    """``feed`` every :data:`EVERY_S` seconds; of several records workers only one feeds at a time."""

    def __init__(self, arena: Arena) -> None:
        self._arena = arena
        self._leader = Leader(arena.redis, "arena:records:feeder")

    def feed(self) -> int:
        """Begin what there is room for; how many battles. Never raises: what cannot be done now is done later."""
        try:
            return self._feed() if self._leader.leads() else 0
        except (RedisError, SQLAlchemyError, QueueError, OSError) as error:
            log.warning("batches cannot be fed now: %s", type(error).__name__)
            return 0

    def _feed(self) -> int:
        settings = self._arena.settings
        free = room(residency.read(self._arena.redis), settings.batch_room)
        if free <= 0:
            return 0
        items = self._arena.db.read(lambda s: batch_feed.next_items(s, settings.batch_in_flight, free))
        begun = 0
        for item in items:
            try:
                begun += self._begin(item)
            except ArenaError as error:
                if error.later:
                    break  # no room after all: these wait
                log.warning("item %d of batch %s is refused: %s", item.number, item.batch.id, error.code)
                self._arena.db.write(partial(batch_feed.refuse, item=item, error=error))
        return begun

    def _begin(self, item: Next) -> bool:
        try:
            battles.begin(
                self._arena,
                item.batch.owner,
                item.prompt,
                sampling=item.batch.sampling,
                models=tuple(item.batch.models) if item.batch.models else None,
                also=lambda session, battle_id: batch_feed.claim(session, item, battle_id),
            )
        except NotWaiting:
            return False
        return True


def room(reports: list[Residency], share: float) -> int:
    """How many battles batches may put in line now, so that ``share`` of every line is the most that is taken."""
    free = 0
    for report in reports:
        if report.accepting:
            bound = report.queue_bound if report.queue_bound > 0 else _UNBOUNDED
            free += max(0, math.floor(bound * share) - report.waiting)
    return free
