"""Jobs in the queues of workers that will not take them: of the dead and the silent, the draining, the restarting.

They move to workers that take them, or to the queue that all read. Those of a worker that is silent, starting or
draining stay while nobody else takes jobs, for it alone may be back soon.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

import msgspec

from web.context import Arena
from web.records import broker
from worker.contract import residency
from worker.contract.jobs import BattleJob, ChatJob, decode_chat, decode_job, models_of, queue_of
from worker.contract.residency import Residency

log = logging.getLogger(__name__)

FORGOTTEN_S = 3600.0
"""A worker's queue is looked into for so long after its last report: nobody sends anything there any more."""


def move(arena: Arena) -> int:
    """How many have moved. Raises RedisError."""
    reports = residency.read(arena.redis)
    known = residency.with_queues(arena.redis)
    taking = [r for r in reports if r.accepting and not residency.silent(r)]
    there = {r.worker for r in reports}
    moved = 0
    for worker in set(known) - {r.worker for r in taking}:
        if worker in there and not taking:
            continue
        found = broker.messages(arena.redis, queue_of(worker))
        moved += sum(_move(arena, message, taking) for message in found)
        if not found and time.time() - known[worker] > FORGOTTEN_S:
            residency.forget_queue(arena.redis, worker)
    if moved:
        log.warning("%d jobs were waiting for workers that do not take them; they have moved", moved)
    return moved


def _move(arena: Arena, found: tuple[str, bytes], taking: Sequence[Residency]) -> bool:
    try:
        models = models_of(_job(broker.body(found[1])))
    except (ValueError, msgspec.ValidationError) as error:
        log.error("a job of the wrong form stays where it is: %s", type(error).__name__)
        return False
    return broker.move(arena.redis, found, queue_of(arena.placer.place(taking, models)))


def _job(told: Any) -> BattleJob | ChatJob:
    return decode_chat(told) if isinstance(told, dict) and "side" in told else decode_job(told)
