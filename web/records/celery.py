"""The Celery app of queue ``records``: ``celery -A web.records worker -P threads -c 1 -Q records``."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from celery import bootsteps
from redis.exceptions import RedisError

from web.context import connect_redis
from web.queue import REFRESH_RATINGS, UNACKED_RECORDS, QueueError, make_celery
from web.records import watched
from web.records.alive import BEAT_S, beat
from web.records.broker import restore
from web.settings import WebSettings
from worker.contract import delivery
from worker.contract.jobs import QUEUE_RECORDS

if TYPE_CHECKING:
    from web.records.reconciler import Reconciler

log = logging.getLogger(__name__)

REFRESH_EVERY_S = 60.0
"""However a vote's own refresh was lost, the leaderboard has the vote after this long."""

settings = WebSettings.from_env()
delivery.install(settings.redis_url)
app = make_celery(settings)
app.conf.include = ["web.records.tasks"]
metrics = watched.connect(app, settings)


class Life(bootsteps.StartStopStep):  # type: ignore[misc]
    """What this worker does besides its tasks: says that it lives, and looks for lost battles.

    The looking has a thread of its own: neither tasks that wait for a database nor a long queue may hold it up.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        self._redis = connect_redis(settings.redis_url)
        self._timers: list[Any] = []
        self._leave = threading.Event()
        self._looking: threading.Thread | None = None
        super().__init__(consumer, **options)

    def start(self, consumer: Any) -> None:
        self._restore()
        self._beat()
        self._timers = [
            consumer.timer.call_repeatedly(BEAT_S, self._beat),
            consumer.timer.call_repeatedly(REFRESH_EVERY_S, self._refresh),
        ]
        self._leave = threading.Event()
        self._looking = threading.Thread(target=_look_always, args=(self._leave,), name="reconciler", daemon=True)
        self._looking.start()
        purging = threading.Thread(target=_purge_always, args=(self._leave,), name="purge", daemon=True)
        purging.start()
        threading.Thread(target=_judge_always, args=(self._leave,), name="integrity", daemon=True).start()
        threading.Thread(target=_feed_always, args=(self._leave,), name="feeder", daemon=True).start()

    def stop(self, consumer: Any) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers = []
        self._leave.set()

    def _restore(self) -> None:
        """What a predecessor had, or this worker itself before its connection broke: Celery forgets it then."""
        try:
            if count := restore(self._redis, UNACKED_RECORDS):
                log.warning("%d tasks that were handed out before are taken up again", count)
        except RedisError as error:
            log.warning("tasks that were handed out before wait: %s", type(error).__name__)

    def _beat(self) -> None:
        try:
            beat(self._redis)
        except RedisError:
            return  # the consumer notices the lost broker by itself; silence is the right signal meanwhile

    def _refresh(self) -> None:
        try:
            app.send_task(REFRESH_RATINGS, queue=QUEUE_RECORDS)
        except (RedisError, QueueError):
            return  # the next round will do


def _look_always(leave: threading.Event) -> None:
    from web.records.reconciler import EVERY_S

    reconciler = _reconciler()
    while not leave.wait(EVERY_S):
        try:
            reconciler.look()
        except Exception:
            log.exception("looking for lost battles failed; it is tried again")


def _feed_always(leave: threading.Event) -> None:
    from web.records.feeder import EVERY_S, Feeder
    from web.records.tasks import records

    feeder = Feeder(records().arena)
    while not leave.wait(EVERY_S):
        try:
            feeder.feed()
        except Exception:
            log.exception("feeding batches failed; it is tried again")


def _purge_always(leave: threading.Event) -> None:
    from web.records.nightly import purge_always
    from web.records.tasks import records

    purge_always(leave, lambda: records().arena, metrics.purged)


def _judge_always(leave: threading.Event) -> None:
    from web.records.nightly import judge_always
    from web.records.tasks import records

    judge_always(leave, lambda: records().integrity)


def _reconciler() -> Reconciler:
    from web.records.reconciler import Reconciler
    from web.records.tasks import records

    made = records()
    return Reconciler(made.arena, made)


app.steps["consumer"].add(Life)
