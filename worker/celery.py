"""The one place Celery meets the worker: the app, its settings, and the runtime's place in the worker's life.

``celery -A worker worker -P threads -Q battles``. Pool threads only wait for the runtime's loop, so there may be many.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

from celery import Celery, bootsteps
from celery.signals import worker_shutting_down
from celery.worker import components

from worker.contract import delivery, structs
from worker.contract.brokers import broker_url
from worker.contract.jobs import QUEUE_BATTLES, QUEUE_RECORDS, private, queue_of
from worker.errors import SettingsError
from worker.settings import WorkerSettings
from worker.watched import connect

if TYPE_CHECKING:
    from worker.contract.catalog import Catalog
    from worker.metrics import Metrics, Server
    from worker.models.fitting import Fit

log = logging.getLogger(__name__)

app = Celery("worker", include=["worker.tasks"])
app.set_current()
try:
    _settings = WorkerSettings.from_env()
except SettingsError as error:
    raise SystemExit(f"worker: {error}") from None
delivery.install(_settings.redis_url)

app.conf.update(
    broker_url=broker_url(_settings.redis_url),
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options={
        "visibility_timeout": _settings.visibility_timeout_s,
        "priority_steps": [0, 3, 6, 9],
        "queue_order_strategy": "sorted",
    },
    task_default_queue=QUEUE_BATTLES,
    task_serializer="json",
    result_serializer="json",
    accept_content=["json"],
    task_ignore_result=True,
    task_acks_late=True,
    task_store_errors_even_if_ignored=False,
    worker_prefetch_multiplier=1,
    worker_pool="threads",
    worker_concurrency=max(128, _settings.queue_bound + 28),
    worker_hijack_root_logger=True,
    worker_send_task_events=False,
    control_exchange="arena.worker",  # commands for engines reach no other kind of worker on this broker
)
connect(app, _settings)


class RuntimeStep(bootsteps.StartStopStep):  # type: ignore[misc]
    """Starts the runtime before Celery's pool and stops it after, so that no thread waits for a loop that is gone."""

    def __init__(self, worker: Any, **kwargs: Any) -> None:
        super().__init__(worker, **kwargs)
        worker.arena = None
        self._metrics: Server | None = None
        if QUEUE_BATTLES in app.amqp.queues.consume_from:  # as told by -Q
            app.amqp.queues.select_add(app.amqp.queues.new_missing(queue_of(worker.hostname)))

    def start(self, worker: Any) -> None:
        from worker.control.served import Served
        from worker.engines import engine_factory, strays
        from worker.report import generating
        from worker.runtime import Runtime
        from worker.tally import Tally

        structs.know_all()  # battles come on many threads at once
        if _settings.gpu:  # for the engines' processes
            os.environ.update(CUDA_VISIBLE_DEVICES=_settings.gpu, CUDA_DEVICE_ORDER="PCI_BUS_ID")
        strays.reap()  # before memory is counted
        catalog, fit = _catalog()
        metrics = Tally(m.id for m in catalog.entries)
        self._metrics = _serve(metrics)
        make_engine = engine_factory(_settings.models_dir)
        runtime = Runtime(_settings, catalog, fit, make_engine, _send, worker.hostname, metrics)
        worker.arena = app.arena = runtime
        worker_shutting_down.connect(lambda **_: runtime.leave(), weak=False)
        runtime.start()
        served = Served(worker, runtime, metrics)
        runtime.also(served.commands, served.board)
        metrics.watch(
            running=lambda: runtime.on_loop(lambda: generating(runtime.pool)),
            waiting=lambda: runtime.on_loop(lambda: runtime.pool.waiting),
        )

    def stop(self, worker: Any) -> None:
        if self._metrics is not None:
            self._metrics.close()
        if worker.arena is not None:
            worker.arena.stop()

    terminate = stop


def _serve(metrics: Metrics) -> Server | None:
    if not _settings.metrics_address:
        return None
    try:
        return metrics.serve(_settings.metrics_at)
    except SettingsError as error:
        log.critical("%s", error)
        raise SystemExit(1) from None


def _catalog() -> tuple[Catalog, Fit]:
    """The catalog and how it fits this machine; ends the worker with one readable line when it cannot be served."""
    from worker.contract.catalog import CatalogError, load_catalog
    from worker.models.fitting import plan_for

    try:
        catalog = load_catalog(_settings.catalog)
        fit = plan_for(
            catalog,
            _settings.models_dir,
            capacity=_settings.max_resident,
            gpu_memory=_settings.gpu_memory,
            host_memory=_settings.host_memory,
            sleep=_settings.sleep,
            gpu=_settings.gpu,
        )
    except (CatalogError, SettingsError) as error:
        log.critical("%s", error)
        raise SystemExit(1) from None
    for problem in fit.problems:
        log.log(logging.CRITICAL if problem in fit.impossible else logging.WARNING, "%s", problem)
    if fit.impossible:
        raise SystemExit(1)
    return catalog, fit


def _send(task: str, args: tuple[Any, ...]) -> None:
    app.send_task(task, args=args, queue=QUEUE_RECORDS, **private(str(args[0])))


components.Pool.requires = (*components.Pool.requires, RuntimeStep)
app.steps["worker"].add(RuntimeStep)

import worker.control  # noqa: E402, F401 (commands must be registered by the module given to -A)
