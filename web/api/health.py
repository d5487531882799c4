"""``/health`` for people and scrapers, ``/ready`` for balancers and start-up gates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from apiflask import APIBlueprint
from flask import Response, jsonify, request
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from web.api.schemas import HealthOut, ReadyOut
from web.context import Arena, arena
from web.errors import NotReady
from web.migrate import is_current
from web.openapi import access, problems
from web.records.alive import records_alive
from web.security import is_private
from worker.contract import residency

bp = APIBlueprint("health", __name__, tag="Operations")


@bp.get("/health")
@bp.output(HealthOut)
@access()
def health() -> Response:
    """The web process answers. Loaded models are told on the private listener or with the admin key only."""
    context = arena()
    body: dict[str, Any] = {"status": "healthy", "available_models": list(context.catalog.ids)}
    if is_private(request, context.settings):
        body["loaded_models"] = residency.ready_models(residency.read(context.redis))
    return jsonify(body)


@bp.get("/ready")
@bp.output(ReadyOut)
@problems(NotReady)
def ready() -> dict[str, Any]:
    """A battle could be begun now. Otherwise 503 with the reasons."""
    reasons = list(missing(arena()))
    if reasons:
        raise NotReady(" ".join(reasons), retry_after_s=2, reasons=reasons)
    return {"status": "ready"}


def missing(context: Arena) -> Iterator[str]:
    """What a battle would need and is not there, in words."""
    try:
        if not is_current(context.db):
            yield "The database has not been migrated."
    except SQLAlchemyError:
        yield "The database does not answer."
    try:
        context.redis.ping()
        if not records_alive(context.redis):
            yield "The records worker is not running."
        if not any(report.accepting for report in residency.read(context.redis)):
            yield "No model worker accepts battles yet."
    except RedisError:
        yield "Redis does not answer."
