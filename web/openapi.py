"""The app object and its OpenAPI document: made so that the document says what the server really does."""

from __future__ import annotations

from typing import Any

from apiflask import APIFlask
from flask import Request
from flask.json.provider import DefaultJSONProvider

from web.api.schemas import PROBLEM_SCHEMA
from web.errors import NotJson

_METHODS = ("get", "post", "put", "patch", "delete")


class Json(DefaultJSONProvider):
    """JSON whose parser refuses in one way only: nesting too deep for it is malformed too, not an internal error."""

    sort_keys = False

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        try:
            return super().loads(s, **kwargs)
        except RecursionError:
            raise ValueError("nested too deeply") from None


class JsonRequest(Request):
    """A request whose malformed JSON has a code of its own."""

    def on_json_loading_failed(self, e: ValueError | None) -> Any:
        raise NotJson()


def make_app() -> APIFlask:
    """An app without routes. No docs page: it would load scripts from elsewhere, which our policy forbids."""
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
        AUTO_404_RESPONSE=True,
        SYNC_LOCAL_SPEC=False,
        INFO={"description": "Two anonymous models, one prompt, one vote."},
    )

    @app.spec_processor
    def honest(spec: dict[str, Any] | str) -> dict[str, Any] | str:
        paths = spec.get("paths", {}) if isinstance(spec, dict) else {}
        for path in paths.values():
            for method, operation in path.items():
                if method in _METHODS:
                    _finish(operation)
        return spec

    return app


def _finish(operation: dict[str, Any]) -> None:
    responses = operation.setdefault("responses", {})
    if "requestBody" in operation:
        operation["requestBody"]["required"] = True
        responses.setdefault("400", {"description": "Not JSON"})
        responses.setdefault("413", {"description": "The body is too large"})
    for status, response in responses.items():
        if str(status).startswith(("4", "5")):
            response["content"] = {"application/problem+json": {"schema": PROBLEM_SCHEMA}}
