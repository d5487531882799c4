"""The Celery app of queue ``records``: ``celery -A web.records worker -P threads -c 1 -Q records``."""

from __future__ import annotations

from typing import Any

from celery import bootsteps
from redis.exceptions import RedisError

from web.context import connect_redis
from web.queue import SWEEP, QueueError, make_celery
from web.records.alive import BEAT_S, beat
from web.settings import WebSettings
from worker.contract.jobs import QUEUE_RECORDS

SWEEP_EVERY_S = 60.0
_SWEEP_KEY = "arena:records:sweep"

settings = WebSettings.from_env()
app = make_celery(settings)
app.conf.include = ["web.records.tasks"]


class Heartbeat(bootsteps.StartStopStep):  # type: ignore[misc]
    """Says every few seconds that this worker consumes, and has it look for lost battles once in a while."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        self._redis = connect_redis(settings.redis_url)
        self._timers: list[Any] = []
        super().__init__(consumer, **options)

    def start(self, consumer: Any) -> None:
        self._beat()
        self._timers = [
            consumer.timer.call_repeatedly(BEAT_S, self._beat),
            consumer.timer.call_repeatedly(SWEEP_EVERY_S, self._sweep),
        ]

    def stop(self, consumer: Any) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers = []

    def _beat(self) -> None:
        try:
            beat(self._redis)
        except RedisError:
            return  # the consumer notices the lost broker by itself; silence is the right signal meanwhile

    def _sweep(self) -> None:
        try:
            if self._redis.set(_SWEEP_KEY, b"1", nx=True, ex=int(SWEEP_EVERY_S)):
                app.send_task(SWEEP, queue=QUEUE_RECORDS)
        except (RedisError, QueueError):
            return  # the next round will do


app.steps["consumer"].add(Heartbeat)
