"""The Celery app of queue ``records``: ``celery -A web.records worker -P threads -c 1 -Q records``."""

from __future__ import annotations

from typing import Any

from celery import bootsteps
from redis.exceptions import RedisError

from web.context import connect_redis
from web.queue import make_celery
from web.records.alive import BEAT_S, beat
from web.settings import WebSettings

settings = WebSettings.from_env()
app = make_celery(settings)
app.conf.include = ["web.records.tasks"]


class Heartbeat(bootsteps.StartStopStep):  # type: ignore[misc]
    """Says every few seconds that this worker consumes; stops saying so when it loses its broker."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        self._redis = connect_redis(settings.redis_url)
        self._timer: Any = None
        super().__init__(consumer, **options)

    def start(self, consumer: Any) -> None:
        self._beat()
        self._timer = consumer.timer.call_repeatedly(BEAT_S, self._beat)

    def stop(self, consumer: Any) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _beat(self) -> None:
        try:
            beat(self._redis)
        except RedisError:
            return  # the consumer notices the lost broker by itself; silence is the right signal meanwhile


app.steps["consumer"].add(Heartbeat)
