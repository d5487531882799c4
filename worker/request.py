"""A task request that never shows its arguments: ``inspect active`` would otherwise print every prompt."""

from __future__ import annotations

from typing import Any

from celery.worker.request import Request


class PrivateRequest(Request):  # type: ignore[misc]
    """Celery's request, always in its ``safe`` form (the ``argsrepr`` the sender chose)."""

    def info(self, safe: bool = False) -> dict[str, Any]:
        facts: dict[str, Any] = super().info(safe=True)
        return facts
