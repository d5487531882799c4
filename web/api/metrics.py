"""``/metrics`` for Prometheus."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response, request

from web.access import require
from web.context import arena
from web.metrics import CONTENT_TYPE, metrics
from web.openapi import access
from web.security import on_private_listener

bp = APIBlueprint("metrics", __name__, tag="Operations")


_RESPONSES: Any = {
    200: {"description": "Prometheus's text format", "content": {"text/plain": {"schema": {"type": "string"}}}},
}


@bp.get("/metrics")
@bp.doc(responses=_RESPONSES)
@access(session=False, scope="admin")
def show() -> Response:
    """What the web side counts, for Prometheus. On the private listener, or with a key of scope `admin`."""
    if not on_private_listener(request, arena().settings):
        require("admin")
    return Response(metrics().page(), content_type=CONTENT_TYPE, headers={"Cache-Control": "no-store"})
