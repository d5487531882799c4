"""The worker's log, traces and their place in its tasks: what Celery's signals are connected to."""

from __future__ import annotations

import logging
from typing import Any

from celery import Celery, signals

from worker.contract import logs, tracing
from worker.contract.jobs import RUN_BATTLE, battle_of
from worker.contract.tracked import Tracked, outgoing
from worker.settings import WorkerSettings

log = logging.getLogger(__name__)


def connect(app: Celery, settings: WorkerSettings) -> None:
    """For this process; nothing happens until a worker starts."""
    tracked = Tracked()

    def set_up(loglevel: int | None = None, **_: Any) -> None:
        logs.install(settings.log_format, logs.level_of(settings, loglevel))
        app.log.redirect_stdouts("WARNING")

    def begin_traces(**_: Any) -> None:
        try:
            tracing.install("llm-arena-worker", settings.otel_endpoint)
        except tracing.TracingMissingError as error:
            log.critical("%s", error)
            raise SystemExit(1) from None

    def before(task_id: str, task: Any, **_: Any) -> None:
        battle = battle_of(task_id)[0] if task.name == RUN_BATTLE else None
        tracked.begin(task.name, task_id, task.request, battle)

    signals.setup_logging.connect(set_up, weak=False, dispatch_uid="arena.worker.logs")
    signals.worker_init.connect(begin_traces, weak=False, dispatch_uid="arena.worker.traces")
    signals.worker_shutdown.connect(lambda **_: tracing.close(), weak=False, dispatch_uid="arena.worker.end")
    signals.task_prerun.connect(before, weak=False, dispatch_uid="arena.worker.before")
    signals.task_postrun.connect(lambda **_: tracked.end(), weak=False, dispatch_uid="arena.worker.after")
    signals.before_task_publish.connect(
        lambda sender, headers, **_: outgoing(str(sender), headers), weak=False, dispatch_uid="arena.carry"
    )
