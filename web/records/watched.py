"""The records worker's log, metrics and traces: what Celery's signals are connected to."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from celery import Celery, signals

from web.retention import Purged
from web.settings import WebSettings
from worker.contract import logs, structs, tracing
from worker.contract.tracked import Tracked

log = logging.getLogger(__name__)

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120)


class TaskMetrics:
    """Series of the tasks of queue ``records``, on a registry of their own."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Histogram

        self.registry = CollectorRegistry()
        self._ended = Counter(
            "arena_records_tasks_total", "Tasks, by how they ended", ["task", "outcome"], registry=self.registry
        )
        self._seconds = Histogram(
            "arena_records_task_seconds", "Of one try of a task", ["task"], registry=self.registry, buckets=_SECONDS
        )
        self._purged = Counter(
            "arena_records_purged_total", "Texts deleted because of their age", ["kind"], registry=self.registry
        )

    def ended(self, task: str, outcome: str, seconds: float) -> None:
        """``outcome``: ``success``, ``retry`` or ``failure``."""
        self._ended.labels(task, outcome).inc()
        self._seconds.labels(task).observe(seconds)

    def purged(self, purged: Purged) -> None:
        """A purge has been."""
        for kind in ("turns", "comments", "prompts"):
            self._purged.labels(kind).inc(getattr(purged, kind))

    def serve(self, address: str) -> Any:
        """Answer ``/metrics`` at ``host:port`` from a thread; what can be shut down. Raises OSError or ValueError."""
        from prometheus_client import start_http_server

        host, _, port = address.rpartition(":")
        server, _ = start_http_server(int(port), host.strip("[]") or "127.0.0.1", registry=self.registry)
        return server


def connect(app: Celery, settings: WebSettings) -> TaskMetrics:
    """For this process; nothing is opened until a worker starts."""
    tracked, here, metrics = Tracked(), threading.local(), TaskMetrics()

    def set_up(loglevel: int | None = None, **_: Any) -> None:
        logs.install(settings.log_format, logs.level_of(settings, loglevel))
        app.log.redirect_stdouts("WARNING")

    def begin(**_: Any) -> None:
        structs.know_all()
        try:
            tracing.install("llm-arena-records", settings.otel_endpoint)
            if settings.records_metrics_address:
                metrics.serve(settings.records_metrics_address)
        except tracing.TracingMissingError as error:
            log.critical("%s", error)
            raise SystemExit(1) from None
        except (OSError, ValueError, OverflowError) as error:
            log.critical(
                "ARENA_RECORDS_METRICS_ADDRESS: cannot listen on %s: %s", settings.records_metrics_address, error
            )
            raise SystemExit(1) from None

    def before(task_id: str, task: Any, args: Any, **_: Any) -> None:
        here.since = time.monotonic()
        tracked.begin(task.name, task_id, task.request, about(args))

    def after(task: Any, state: str | None = None, **_: Any) -> None:
        outcome = (state or "failure").lower()
        metrics.ended(
            task.name, outcome if outcome in ("success", "retry") else "failure", time.monotonic() - here.since
        )
        tracked.end()

    signals.setup_logging.connect(set_up, weak=False, dispatch_uid="arena.records.logs")
    signals.worker_init.connect(begin, weak=False, dispatch_uid="arena.records.begin")
    signals.worker_shutdown.connect(lambda **_: tracing.close(), weak=False, dispatch_uid="arena.records.end")
    signals.task_prerun.connect(before, weak=False, dispatch_uid="arena.records.before")
    signals.task_postrun.connect(after, weak=False, dispatch_uid="arena.records.after")
    return metrics


def about(args: Any) -> str | None:
    """The battle a task's arguments speak of: a result's, or the one that a task id or an id names."""
    first = args[0] if args else None
    if isinstance(first, dict):
        first = first.get("battle_id")
    return first.rpartition(".")[0] or first if isinstance(first, str) else None
