"""The tasks of queue ``records``. All return None, because Celery logs what a task returns."""

from __future__ import annotations

import functools
import logging
import threading
from typing import Any

import msgspec
from redis.exceptions import RedisError
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection

from web.context import build_arena
from web.queue import REFRESH_RATINGS, Queue
from web.records.celery import app, settings
from web.records.private import PrivateTask
from web.records.service import Records
from worker.contract import jobs

log = logging.getLogger(__name__)

_OPTIONS = {
    "base": PrivateTask,
    "autoretry_for": (RedisError, OperationalError, InterfaceError, NoConnection),
    "retry_backoff": 1,
    "retry_backoff_max": 60,
    "retry_jitter": True,
    "max_retries": 30,
}


def records() -> Records:
    """This process's; connects on first use. From any thread."""
    with _one_at_a_time:
        return _records()


_one_at_a_time = threading.Lock()


@functools.cache
def _records() -> Records:
    return Records(build_arena(settings, Queue(app)))


@app.task(name=jobs.RECORDS_STARTED, **_OPTIONS)  # type: ignore[untyped-decorator]
def started(battle_id: str, turn: int, attempt: int) -> None:
    """A worker began generating."""
    records().started(battle_id, turn, attempt)


@app.task(name=jobs.RECORDS_FINISHED, **_OPTIONS)  # type: ignore[untyped-decorator]
def finished(result: Any) -> None:
    """A worker's result; one that makes no sense is dropped, since running it again would not help."""
    try:
        decoded = jobs.decode_result(result)
    except msgspec.ValidationError as error:
        log.error("a result of the wrong form is dropped: %s", error)
        return
    records().finished(decoded)


@app.task(name=jobs.RECORDS_FAILED, **_OPTIONS)  # type: ignore[untyped-decorator]
def failed(task_id: str) -> None:
    """A job ended by an exception."""
    records().failed(task_id)


@app.task(name=REFRESH_RATINGS, **_OPTIONS)  # type: ignore[untyped-decorator]
def refresh_ratings(deferred: bool = False) -> None:
    """The leaderboard, if votes changed."""
    records().refresh_ratings(deferred)
