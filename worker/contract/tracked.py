"""What a task's lines and spans know of it: bound when it begins, carried on by every message it sends.

Both Celery apps of the arena connect this to Celery's signals; nothing here imports Celery.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, MutableMapping
from contextlib import ExitStack
from typing import Any

from worker.contract import logs, tracing


def outgoing(task: str, headers: MutableMapping[str, Any]) -> None:
    """Put onto a message, which is about to be sent, what it belongs to."""
    logs.carry(headers)
    tracing.send(task, headers)


class Tracked:
    """``begin`` and ``end`` of the task that runs on the calling thread."""

    def __init__(self) -> None:
        self._here = threading.local()

    def begin(self, name: str, task: str, headers: Mapping[str, Any], battle: str | None = None) -> None:
        """``headers``: of the task's message. ``task``: its id."""
        self.end()
        facts = {"task": task, "battle": battle}
        known = {fact: value for fact, value in facts.items() if value}
        self._here.stack = stack = ExitStack()
        stack.enter_context(logs.carried(headers, **known))
        stack.enter_context(tracing.span(f"run {name}", "CONSUMER", headers, **known))

    def end(self) -> None:
        """Nothing when no task has begun."""
        stack: ExitStack | None = getattr(self._here, "stack", None)
        self._here.stack = None
        if stack is not None:
            stack.close()
