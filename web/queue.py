"""Sending work: the one place where the web side speaks Celery outwards.

Prompts and answers travel in these messages, so every signature and every call hides its arguments from reprs, which
Celery would otherwise copy into headers, events and logs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from celery import Celery, signals
from kombu.exceptions import OperationalError

from web.settings import WebSettings
from worker.contract import jobs
from worker.contract.brokers import broker_url
from worker.contract.jobs import BattleJob, ChatJob, private
from worker.contract.tracked import outgoing

REFRESH_RATINGS = "records.refresh_ratings"
VISIBILITY_S = 900
"""A records task whose worker died is run again after this long, or when a records worker starts."""
UNACKED_RECORDS = "arena:records:unacked"
"""Where the broker keeps what records workers have in their hands."""

QueueError = OperationalError
"""The broker could not be reached."""


def make_celery(settings: WebSettings, name: str = "web.records") -> Celery:
    """The Celery app of queue ``records``; web uses one as a sender only. JSON alone is spoken and understood."""
    app = Celery(name, broker=broker_url(settings.redis_url), set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        result_serializer="json",
        result_backend=None,
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_default_queue=jobs.QUEUE_RECORDS,
        control_exchange="arena.records",  # commands for records reach no other kind of worker on this broker
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        worker_send_task_events=False,
        task_send_sent_event=False,
        worker_hijack_root_logger=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_connection_timeout=2.0,
        broker_transport_options={
            "visibility_timeout": VISIBILITY_S,
            # Own bookkeeping: with the shared default this app would hand back the battles' long jobs by its own clock.
            "unacked_key": UNACKED_RECORDS,
            "unacked_index_key": f"{UNACKED_RECORDS}_index",
            "unacked_mutex_key": f"{UNACKED_RECORDS}_mutex",
            "socket_connect_timeout": 2.0,
            "socket_keepalive": True,
        },
        task_publish_retry_policy={"max_retries": 1, "interval_start": 0.05, "interval_max": 0.2},
    )
    signals.before_task_publish.connect(_carry, dispatch_uid="arena.carry")
    return app


def _carry(sender: Any = None, headers: Any = None, **_: Any) -> None:
    outgoing(str(sender), headers)


@dataclass(frozen=True, slots=True)
class Queue:
    """What the web side sends. Every method raises QueueError when the broker cannot be reached."""

    celery: Any

    def run_battle(self, job: BattleJob, to: str | None = None) -> None:
        """To one worker, or to whoever takes it first; what becomes of it comes back to queue ``records``."""
        self.celery.send_task(
            jobs.RUN_BATTLE,
            args=(jobs.encode_job(job),),
            task_id=job.task,
            queue=jobs.queue_of(to),
            link=self._records(jobs.RECORDS_FINISHED, "result"),
            link_error=self._records(jobs.RECORDS_FAILED, "task id"),
            **private("battle job"),
        )

    def run_chat(self, job: ChatJob, to: str | None = None) -> None:
        """To workers too; what becomes of it is told on the chat's log and comes back to nobody else."""
        self.celery.send_task(
            jobs.RUN_CHAT,
            args=(jobs.encode_chat(job),),
            task_id=job.id,
            queue=jobs.queue_of(to),
            **private("chat job"),
        )

    def refresh_ratings(self) -> None:
        """To the records worker; refreshes close together are merged there."""
        self.celery.send_task(REFRESH_RATINGS, queue=jobs.QUEUE_RECORDS)

    def refresh_ratings_later(self, delay_s: float) -> None:
        """The one refresh that stands for all those that were put off."""
        self.celery.send_task(REFRESH_RATINGS, args=(True,), queue=jobs.QUEUE_RECORDS, countdown=delay_s)

    def _records(self, name: str, subject: str) -> Any:
        return self.celery.signature(name, queue=jobs.QUEUE_RECORDS, **private(subject))
