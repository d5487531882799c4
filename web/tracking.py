"""What is known of every request: its id, a line in the log, its place in the metrics, and a span when traces are on.

The id is the one a trusted proxy gave in ``X-Request-Id``, or made here; the reply says it, all lines of the request
carry it, and so do the lines that workers write about the tasks it caused. The access line has the route's template
instead of the path: no query, no address, no session, and nothing that somebody typed into the address bar.
"""

from __future__ import annotations

import logging
import re
import secrets
import time
from contextlib import ExitStack
from typing import Any

from flask import Flask, Response, g, request

from web.metrics import Metrics
from web.security import from_trusted_proxy
from web.settings import WebSettings
from worker.contract import logs, tracing

log = logging.getLogger("web.access")

HEADER = "X-Request-Id"
NO_ROUTE = "none"
_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_BATTLE = re.compile(r"[A-Za-z0-9_-]{8,40}")
_QUIET = ("/health", "/ready", "/metrics", "/static/<path:filename>")
"""Asked for all the time by machines: their lines are for DEBUG."""
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def request_id(settings: WebSettings) -> str:
    """Of the current request: a proxy's of ours, if it looks like an id, or a new one."""
    given = request.headers.get(HEADER, "")
    if _ID.fullmatch(given) and from_trusted_proxy(request, settings):
        return given
    return secrets.token_hex(8)


def init_app(app: Flask, settings: WebSettings, metrics: Metrics) -> None:
    """To be called before anything else that looks at requests, so that it is the first to see them and the last."""

    @app.before_request
    def begin() -> None:
        logs.unbind()
        g.began = time.monotonic()
        g.request_id = request_id(settings)
        logs.bind(request=g.request_id)
        battle = (request.view_args or {}).get("battle_id")
        if isinstance(battle, str) and _BATTLE.fullmatch(battle):
            logs.bind(battle=battle)
        g.tracked = ExitStack()
        g.span = g.tracked.enter_context(tracing.span(f"{_method()} {_route()}", "SERVER"))

    @app.after_request
    def finish(response: Response) -> Response:
        if "began" not in g:
            return response
        seconds = time.monotonic() - g.began
        response.headers[HEADER] = g.request_id
        code = g.get("refused")
        metrics.answered(_method(), _route(), response.status_code, seconds, code)
        facts = {"method": _method(), "route": _route(), "status": response.status_code, "code": code}
        if g.span is not None:
            _describe(g.span, facts)
        level = logging.DEBUG if facts["route"] in _QUIET else logging.INFO
        log.log(level, "request", extra={"fields": {**facts, "ms": round(seconds * 1000, 1)}})
        return response

    @app.teardown_request
    def end(_: BaseException | None) -> None:
        if (tracked := g.pop("tracked", None)) is not None:
            tracked.close()
        logs.unbind()


def _method() -> str:
    return request.method if request.method in _METHODS else "other"


def _route() -> str:
    return request.url_rule.rule if request.url_rule is not None else NO_ROUTE


def _describe(span: Any, facts: dict[str, Any]) -> None:
    span.set_attribute("http.request.method", facts["method"])
    span.set_attribute("http.route", facts["route"])
    span.set_attribute("http.response.status_code", facts["status"])
    span.set_attribute("arena.request", g.request_id)
    if facts["code"]:
        span.set_attribute("arena.code", facts["code"])
