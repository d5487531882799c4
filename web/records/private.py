"""Tasks whose arguments are never shown: results carry people's prompts' answers.

Celery shows arguments in four places: headers and events (``argsrepr``, lost when a task is retried), ``inspect
active`` and the log of a retry. All four get the same placeholder here.
"""

from __future__ import annotations

from typing import Any

from celery import Task
from celery.worker.request import Request

from worker.contract.jobs import private


class PrivateRequest(Request):  # type: ignore[misc]
    """Celery's request, always in its ``safe`` form (the ``argsrepr`` of the message)."""

    def info(self, safe: bool = False) -> dict[str, Any]:
        facts: dict[str, Any] = super().info(safe=True)
        return facts


class PrivateTask(Task):  # type: ignore[misc]
    """Base of every task of queue ``records``."""

    abstract = True
    Request = PrivateRequest

    def apply_async(self, *args: Any, **options: Any) -> Any:
        return super().apply_async(*args, **{**private(self.name), **options})
