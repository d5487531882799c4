"""The web side's series for Prometheus, for one process or many.

With ``PROMETHEUS_MULTIPROC_DIR`` set (``ops/gunicorn.conf.py`` does it when there are several web processes) every
process writes its values to files there and whichever is asked adds them up. Sums over the arena's workers come from
their reports at every scrape. No label names a model, a battle, a session or an address.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from redis.exceptions import RedisError

from web import counts
from worker.contract import residency
from worker.contract.jobs import QUEUE_BATTLES, QUEUE_RECORDS, queue_of

if TYPE_CHECKING:
    from flask import Flask

CONTENT_TYPE = CONTENT_TYPE_LATEST
STATES = ("finished", "failed", "cancelled")
WINNERS = ("a", "b", "tie", "both_bad")
_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
EXTENSION = "arena_metrics"


class Metrics:
    """One process's series. At a scrape ``redis`` is asked for the arena's sums, and ``catalog_refused`` for why the
    catalog file is not in use (empty: it is)."""

    def __init__(self, redis: Any, catalog_refused: Callable[[], str] = str) -> None:
        self.registry = registry = CollectorRegistry()
        self._redis = redis
        self._catalog_refused = catalog_refused

        def counter(name: str, what: str, *labels: str) -> Counter:
            return Counter(f"arena_{name}", what, labels, registry=registry)

        self._requests = counter("http_requests_total", "Requests answered", "method", "route", "status")
        self._seconds = Histogram(
            "arena_http_request_seconds",
            "Until the answer began",
            ["method", "route"],
            registry=registry,
            buckets=_SECONDS,
        )
        self._refusals = counter("refusals_total", "Requests refused, by problem code", "code")
        self._begun = counter("turns_begun_total", "Turns and retries of battles accepted over REST")
        self._votes = counter("votes_total", "Votes cast", "winner")
        self._cache = counter("cache_total", "Answers asked of the cache of /v1", "result")
        lines = Gauge("arena_connections", "Held now", ["kind"], registry=registry, multiprocess_mode="livesum")
        self._sockets, self._streams = lines.labels("websocket"), lines.labels("event_stream")
        for winner in WINNERS:  # a counter that begins at 1 shows no increase
            self._votes.labels(winner)
        for result in ("hit", "miss"):
            self._cache.labels(result)

    def answered(self, method: str, route: str, status: int, seconds: float, code: str | None) -> None:
        """A request; ``code``: of the problem it was refused with."""
        self._requests.labels(method, route, status).inc()
        self._seconds.labels(method, route).observe(seconds)
        if code:
            self._refusals.labels(code).inc()

    def begun(self) -> None:
        """A battle, another turn or a retry was accepted."""
        self._begun.inc()

    def voted(self, winner: str) -> None:
        """A vote was cast, for the first time."""
        self._votes.labels(winner if winner in WINNERS else "other").inc()

    def cached(self, hit: bool) -> None:
        """``/v1``'s cache was asked."""
        self._cache.labels("hit" if hit else "miss").inc()

    def lines(self, connections: int, streams: int) -> None:
        """How many connections this process holds now, and how many of them are event streams."""
        self._sockets.set(connections - streams)
        self._streams.set(streams)

    def page(self) -> bytes:
        """In Prometheus's text format."""
        found = generate_latest(self._source())
        sums = CollectorRegistry()
        sums.register(_Sums(self._redis, self._catalog_refused))
        return found + generate_latest(sums)

    def _source(self) -> CollectorRegistry:
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return self.registry
        from prometheus_client import multiprocess

        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return registry


class _Sums(Collector):
    """The arena as its workers and its store tell it now; without the store only that it is away."""

    def __init__(self, redis: Any, catalog_refused: Callable[[], str]) -> None:
        self._redis = redis
        self._catalog_refused = catalog_refused

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Nothing is asked of Redis at registration."""
        return iter(())

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        what = "Whether the catalog file is broken, so that web goes on with the last good one"
        yield GaugeMetricFamily("arena_catalog_refused", what, value=bool(self._catalog_refused()))
        try:
            reports = residency.read(self._redis)
            ended = counts.read(self._redis)
            queues = {QUEUE_BATTLES: self._waiting(None, *residency.with_queues(self._redis))}
            queues[QUEUE_RECORDS] = int(self._redis.llen(QUEUE_RECORDS))
        except RedisError:
            yield GaugeMetricFamily("arena_redis_up", "Whether Redis answers", value=0)
            return
        yield GaugeMetricFamily("arena_redis_up", "Whether Redis answers", value=1)
        yield _by("arena_workers", "Model workers that report", "accepting", {
            "yes": sum(r.accepting for r in reports), "no": sum(not r.accepting for r in reports)})  # fmt: skip
        yield _by("arena_workers_battles", "Battles in workers' hands", "state", {
            "running": sum(r.running for r in reports), "waiting": sum(r.waiting for r in reports)})  # fmt: skip
        bound = sum(r.queue_bound for r in reports if r.accepting)
        yield GaugeMetricFamily("arena_workers_queue_bound", "Battles that may wait", value=bound)
        yield _by("arena_queue_messages", "Messages no worker has taken", "queue", queues)
        turns = CounterMetricFamily("arena_turns_ended", "Turns of battles, by how they ended", labels=["state"])
        for state in STATES:
            turns.add_metric([state], ended.get(f"turns_{state}", 0))
        yield turns

    def _waiting(self, *workers: str | None) -> int:
        """Jobs in the queues of these workers and in the one that all read."""
        with self._redis.pipeline(transaction=False) as pipe:
            for worker in workers:
                pipe.llen(queue_of(worker))
            return sum(pipe.execute())


def _by(name: str, what: str, label: str, values: dict[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, what, labels=[label])
    for word, value in values.items():
        family.add_metric([word], value)
    return family


def metrics_of(app: Flask) -> Metrics:
    """An app's."""
    return cast(Metrics, app.extensions[EXTENSION])


def metrics() -> Metrics:
    """The current app's."""
    from flask import current_app

    return metrics_of(cast(Any, current_app))
