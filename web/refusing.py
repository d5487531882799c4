"""How refusals reach the outside: ``application/problem+json`` (RFC 9457), a page for people, or what a path speaks.

Nothing that went wrong inside is told: an unknown exception becomes ``internal`` and goes to the log.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from apiflask import APIFlask, HTTPError
from flask import Flask, Response, current_app, g, json, render_template, request
from kombu.exceptions import OperationalError as BrokerError
from redis.exceptions import RedisError
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException
from wsproto.utilities import RemoteProtocolError

from web.errors import (
    HTTP_PROBLEMS,
    PROBLEM_TYPE,
    ArenaError,
    BadHandshake,
    InvalidBody,
    InvalidQuery,
    StorageUnavailable,
)
from web.language import SOURCE, current, gettext

log = logging.getLogger(__name__)


def problem(error: ArenaError) -> Response:
    """``application/problem+json`` of a refusal."""
    body = {
        "type": PROBLEM_TYPE + error.code,
        "title": error.title,
        "status": error.status,
        "code": error.code,
        "detail": error.detail,
        **error.extra,
    }
    g.refused = error.code
    response = Response(json.dumps(body) + "\n", error.status, content_type="application/problem+json")
    response.headers.update(error.headers)
    return response


Form = Callable[[ArenaError], Response]
_FORMS = "arena_error_forms"


def speak(app: Flask, prefix: str, form: Form) -> None:
    """Have refusals under the paths that begin with ``prefix`` take another form."""
    app.extensions.setdefault(_FORMS, {})[prefix] = form


def _form() -> Form | None:
    forms: dict[str, Form] = current_app.extensions.get(_FORMS, {})
    return next((form for prefix, form in forms.items() if request.path.startswith(prefix)), None)


def _answer(error: ArenaError) -> Response:
    """A page for people who asked for one, a problem for everybody else; under some paths what they speak."""
    if (form := _form()) is not None:
        return form(error)
    api = request.path.startswith(("/api/", "/v1/", "/ws", "/health", "/ready", "/metrics", "/openapi.json"))
    if api or request.method not in ("GET", "HEAD") or not request.accept_mimetypes.accept_html:
        return problem(error)
    try:
        title = gettext(error.title)
        own_words = type(error) is not ArenaError and current().tag == SOURCE
        detail = error.detail if own_words else ""
        page = render_template("error.html", status=error.status, title=title, detail=detail)
    except Exception:
        log.exception("the error page itself failed")
        return problem(error)
    g.refused = error.code
    response = Response(page, error.status, content_type="text/html; charset=utf-8")
    response.headers.update(error.headers)
    return response


def _from_http(error: HTTPException) -> ArenaError:
    """Werkzeug's and Flask's own refusals under our codes."""
    status = error.code or 500
    if error.response is not None:
        status = error.response.status_code
    kind = ArenaError(error.description or error.name)
    kind.status = status
    known = HTTP_PROBLEMS.get(status)
    kind.code, kind.title = known or ("internal" if status >= 500 else "bad_request", error.name)
    kind.headers = {k: v for k, v in error.get_headers() if k in ("Allow", "Retry-After", "Location")}
    return kind


def _from_validation(error: HTTPError) -> ArenaError:
    """APIFlask's account of a body that does not fit its schema, without echoing what was sent."""
    located = error.detail if isinstance(error.detail, dict) else {}
    place, fields = next(((k, v) for k, v in located.items() if isinstance(v, dict)), ("", {}))
    field, messages = next(iter(fields.items()), ("", [error.message or ""]))
    if place in ("query", "headers", "path"):
        return InvalidQuery(f"{field}: {messages[0]}", field=field)
    if field in ("", "_schema"):
        return InvalidBody("The body must be a JSON object.")
    return InvalidBody(f"{field}: {messages[0]}", field=field)


def init_app(app: APIFlask) -> None:
    """Register the handlers; no exception leaves the app as a traceback."""

    @app.errorhandler(ArenaError)
    def refused(error: ArenaError) -> Response:
        return _answer(error)

    @app.errorhandler(HTTPException)
    def refused_by_flask(error: HTTPException) -> Response:
        return _answer(_from_http(error))

    @app.errorhandler(HTTPError)
    def refused_by_schema(error: HTTPError) -> Response:
        return _answer(_from_validation(error))

    @app.errorhandler(RemoteProtocolError)
    def refused_by_websocket(error: Exception) -> Response:
        return _answer(BadHandshake())

    @app.errorhandler(RedisError)
    @app.errorhandler(BrokerError)
    @app.errorhandler(OperationalError)
    @app.errorhandler(InterfaceError)
    @app.errorhandler(PoolTimeout)
    def storage_gone(error: Exception) -> Response:
        log.error("storage unavailable on %s %s: %s", request.method, request.path, type(error).__name__)
        return _answer(StorageUnavailable())

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> Response:
        log.error("unexpected error on %s %s", request.method, request.path, exc_info=error)
        return _answer(ArenaError())
