"""``/api/admin``: signing in, watching, and who did what. What operators change is in ``admin_*.py`` beside this."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, cast

from apiflask import APIBlueprint
from flask import Response, current_app, request

from web.admin import log, operators
from web.admin.errors import NotSignedIn
from web.admin.operators import guard, operator
from web.admin.stream import OperatorStream
from web.api.schemas.admin import AuditOut, AuditQuery, OperatorOut, SignInIn, WhoOut
from web.context import arena
from web.errors import BadKey, CrossOrigin, InvalidQuery, NoRoom, ScopeMissing, TooManyConnections
from web.live.house import House
from web.live.visitor import Visitor
from web.openapi import access, problems, text_body
from web.security import client_address

bp = APIBlueprint("admin", __name__, url_prefix="/api/admin", tag="Admin")
guard(bp, "sign_in", "sign_out", "who")


@bp.post("/session")
@bp.input(SignInIn, arg_name="body")
@bp.output(OperatorOut, status_code=201)
@problems(BadKey, ScopeMissing)
def sign_in(body: SignInIn) -> Any:
    """Trade an operator's key for a cookie of this browser, which scripts cannot read.

    It lasts twelve hours, or until the key is revoked; programs send the key itself.
    """
    key, value = operators.sign_in(arena(), body.key)
    response = current_app.make_response(({"id": key.id, "name": key.name}, 201))
    operators.remember(response, value)
    return response


@bp.get("/session")
@bp.output(WhoOut)
@problems(BadKey, ScopeMissing, CrossOrigin)
def who() -> dict[str, Any]:
    """With which key you are an operator; with none when you are not, which a page may ask without a fault."""
    try:
        key = operator()
    except NotSignedIn:
        return {"operator": None}
    return {"operator": {"id": key.id, "name": key.name}}


@bp.delete("/session")
@bp.output({}, status_code=204)
def sign_out() -> Any:
    """Take this browser's cookie back."""
    response = current_app.make_response(("", 204))
    operators.forget(response)
    return response


@bp.get("/events")
@bp.doc(responses={200: "Server-sent events: `worker` (a worker's whole board) once a second, `changed {what}`"})
@text_body("text/event-stream")
@problems(NotSignedIn, CrossOrigin, TooManyConnections, NoRoom)
@access(session=False, scope="admin")
def events() -> Response:
    """Every worker as it is now, once a second, and word of every change that operators make.

    `data` is one JSON message of `worker/contract/watch.py`. It ends when the key is revoked.
    """
    key, context = operator(), arena()
    house = cast(House, current_app.extensions["arena_live"])
    visitor = Visitor(key.owner, client_address(request, context.settings))
    signed = operators.validity(context, key)
    opened = OperatorStream(house, visitor, key.id, signed, request.environ.get("gunicorn.socket"))
    house.enter(opened, visitor, stream=True)
    house.welcomed(opened)
    headers = {"X-Accel-Buffering": "no", "Cache-Control": "no-store, no-transform"}
    return Response(opened, content_type="text/event-stream", headers=headers)


@bp.get("/audit")
@bp.input(AuditQuery, location="query", arg_name="query")
@bp.output(AuditOut)
@problems(NotSignedIn, CrossOrigin, InvalidQuery)
@access(session=False, scope="admin")
def audit(query: AuditQuery) -> dict[str, Any]:
    """What operators did, newest first: keys, models, votes and sessions, and commands to workers, refused ones too."""
    lines, following = log.read(arena(), query.cursor, query.limit)
    return {"lines": [asdict(line) for line in lines], "next": following}
