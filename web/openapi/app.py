"""The app object, made so that its OpenAPI document says what the server really does."""

from __future__ import annotations

from typing import Any

from apiflask import APIFlask
from flask import Request
from flask.json.provider import DefaultJSONProvider

from web.api.schemas import PROBLEM_SCHEMA
from web.bounds import JSON_DEPTH, depth
from web.errors import NotJson
from web.openapi.document import finish


class Json(DefaultJSONProvider):
    """JSON whose parser refuses in one way only: nesting too deep for it is malformed too, not an internal error."""

    sort_keys = False

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        try:
            value = super().loads(s, **kwargs)
        except RecursionError:
            raise ValueError("nested too deeply") from None
        if depth(value) > JSON_DEPTH:
            raise ValueError("nested too deeply")
        return value


class JsonRequest(Request):
    """A request whose malformed JSON has a code of its own."""

    def on_json_loading_failed(self, e: ValueError | None) -> Any:
        raise NotJson()


def make_app() -> APIFlask:
    """An app without routes. APIFlask's docs page would load scripts from elsewhere; ``/docs`` is ours (web.docs)."""
    app = APIFlask(
        "web",
        title="LLM Arena",
        version="1",
        docs_path=None,
        spec_path="/openapi.json",
        json_errors=False,
        static_folder="static",
    )
    app.request_class = JsonRequest
    app.json = Json(app)
    app.config.update(
        HTTP_ERROR_SCHEMA=PROBLEM_SCHEMA,
        VALIDATION_ERROR_SCHEMA=PROBLEM_SCHEMA,
        VALIDATION_ERROR_STATUS_CODE=422,
        AUTO_404_RESPONSE=False,
        AUTO_OPERATION_ID=True,
        AUTO_SERVERS=False,
        SYNC_LOCAL_SPEC=False,
    )

    @app.spec_processor
    def honest(spec: dict[str, Any] | str) -> dict[str, Any] | str:
        if isinstance(spec, dict):
            finish(app, spec)
        return spec

    return app
