"""The finishing of the document: what no single view should have to say, added to every operation it is true of."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from apiflask import APIFlask

from web import errors
from web.access import NEEDED
from web.api.schemas import TEXT
from web.limits.rules import UNCOUNTED
from web.openapi import bodies, general
from web.openapi.catalogue import Known, by_http, every_problem, known
from web.openapi.declare import Declared, declared
from web.openapi.examples import example_of

_METHODS = ("get", "post", "put", "patch", "delete")
_SAFE = ("get",)
_IDEMPOTENCY = (
    errors.BadIdempotencyKey,
    errors.IdempotencyInFlight,
    errors.IdempotencyMismatch,
    errors.NotReplayable,
)
"""What ``Idempotency-Key`` brings with it, which every POST takes."""


def finish(app: APIFlask, spec: dict[str, Any]) -> None:
    """Complete ``spec``, which APIFlask made of the views' schemas, in place."""
    spec["info"].update(general.INFO)
    spec["servers"] = [{"url": "/"}]
    spec["tags"] = general.TAGS
    schemas = spec.setdefault("components", {}).setdefault("schemas", {})
    schemas |= {"Problem": general.PROBLEM, "OpenAIError": general.OPENAI_ERROR}
    spec["components"]["securitySchemes"] = general.SECURITY
    spec["components"]["headers"] = general.HEADERS
    views = {(path, method): view for path, method, view in _views(app)}
    for path, operations in spec.get("paths", {}).items():
        for method, operation in operations.items():
            if method in _METHODS:
                _finish(operation, method, path, declared(views[path, method]), schemas)
                _link(operation, path, declared(views[path, method]), spec["paths"])
    spec["x-problems"] = [
        {"code": k.code, "status": k.status, "title": k.title, "retry_after": k.later} for k in every_problem()
    ]


def _views(app: APIFlask) -> Iterator[tuple[str, str, Callable[..., Any]]]:
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<([^<:]+:)?", "{", rule.rule).replace(">", "}")
        for method in rule.methods or ():
            yield path, method.lower(), app.view_functions[rule.endpoint]


def _finish(operation: dict[str, Any], method: str, path: str, notes: Declared, schemas: dict[str, Any]) -> None:
    _word(operation)
    _no_nul(operation)
    if notes.body is not None:
        operation["requestBody"] = bodies.request(notes.body, schemas)
    if "requestBody" in operation:
        operation["requestBody"]["required"] = True
        for content in operation["requestBody"]["content"].values():
            _exemplify(content, schemas)
    responses = operation.setdefault("responses", {})
    for status in [s for s in responses if s[0] in "45"]:
        del responses[status]  # what a view can refuse is known from its problems, and from them alone
    if notes.text is not None:
        bodies.text_answer(responses["200"], *notes.text, schemas)
        bodies.other_formats(responses["200"], notes.formats)
    for response in responses.values():
        for media_type, content in response.get("content", {}).items():
            if media_type == "text/event-stream":
                content["schema"] = general.EVENTS
            else:
                _exemplify(content, schemas)
    if notes.cached:
        _revalidated(operation)
    if notes.challenged:
        operation["parameters"].append(general.CHALLENGE)
    for status, kinds in sorted(_by_status(_problems(operation, method, path, notes)).items()):
        responses[str(status)] = general.refusal(kinds, openai=notes.openai)
    _say_headers(operation, method, path)
    _say_who(operation, path, notes)


def _link(operation: dict[str, Any], path: str, notes: Declared, paths: dict[str, Any]) -> None:
    """Say which operations its answer leads to: those below its own path's first two parts that take the parameter."""
    below = "/".join(path.split("/")[:3])
    success = next(r for s, r in operation["responses"].items() if s[0] == "2")
    for parameter, pointer in notes.leads:
        for other, operations in paths.items():
            if f"{{{parameter}}}" in other and (other.startswith(below) or parameter != "battle_id"):
                for there in (operations[m] for m in _METHODS if m in operations):
                    name = there["operationId"]
                    target = {"operationId": name, "parameters": {parameter: f"$response.body#{pointer}"}}
                    success.setdefault("links", {})[name] = target


def _revalidated(operation: dict[str, Any]) -> None:
    headers = general.header_refs("ETag", "Cache-Control")
    operation["responses"]["200"]["headers"] = headers
    operation["responses"]["304"] = {"description": "What `If-None-Match` names is still true", "headers": headers}
    operation["parameters"].append(general.IF_NONE_MATCH)


def _word(operation: dict[str, Any]) -> None:
    """The docstring's first sentence is the summary; the rest of its line belongs to what follows."""
    summary, _, rest = operation.get("summary", "").replace("``", "`").partition(". ")
    about = [rest, operation.get("description", "").replace("``", "`")]
    operation["summary"] = summary.rstrip(".")
    operation["description"] = "\n\n".join(part for part in about if part)


def _no_nul(operation: dict[str, Any]) -> None:
    """No address may hold one (see ``web.bounds``); so no text in it may."""
    for parameter in operation.get("parameters", ()):
        schema = parameter.get("schema", {})
        for text in (s for s in [schema, *schema.get("anyOf", ())] if s.get("type") == "string"):
            if parameter["in"] in ("query", "path") and "enum" not in text:
                text.setdefault("pattern", TEXT["pattern"])


def _exemplify(content: dict[str, Any], schemas: dict[str, Any]) -> None:
    if "example" in content or "examples" in content or "schema" not in content:
        return
    example = example_of(content["schema"], schemas)
    if example is not None:
        content["example"] = example


def _problems(operation: dict[str, Any], method: str, path: str, notes: Declared) -> Iterator[Known]:
    """What this operation can refuse with: its own problems and those of its kind."""
    yield from map(known, notes.problems)
    yield known(errors.StorageUnavailable)
    if path not in UNCOUNTED:
        yield known(errors.RateLimited)
    if method == "post":
        yield from map(known, _IDEMPOTENCY)
    places = {p["in"] for p in operation.get("parameters", ())}
    if "path" in places:
        yield by_http(404)
    if places & {"path", "query"}:
        yield by_http(414)
    if "header" in places or method == "post":
        yield by_http(431)
    if "query" in places:
        yield known(errors.InvalidQuery)
    if notes.asks or method not in _SAFE:
        yield known(errors.BadKey)
    if notes.key and not notes.session:
        yield known(errors.KeyNeeded)
    if notes.key and _scope(path, notes) is not None:
        yield known(errors.ScopeMissing)
    yield known(errors.UnknownHost)
    if method not in _SAFE:
        yield known(errors.CrossOrigin)
        yield known(errors.NotJson)
    if "requestBody" in operation:
        yield known(errors.InvalidBody)
        yield known(errors.BodyTooSlow)
        yield by_http(413)


def _by_status(kinds: Iterable[Known]) -> dict[int, list[Known]]:
    found: dict[int, list[Known]] = {}
    for kind in kinds:
        row = found.setdefault(kind.status, [])
        if all(k.code != kind.code for k in row):
            row.append(kind)
    return found


def _say_headers(operation: dict[str, Any], method: str, path: str) -> None:
    if method == "post":
        operation["parameters"].append(general.IDEMPOTENCY_KEY)
    for status, response in operation["responses"].items():
        if path not in UNCOUNTED:
            response["headers"] = response.get("headers", {}) | general.RATE_LIMITS
        if method == "post" and status[0] == "2":
            response["headers"] = response.get("headers", {}) | general.header_refs("Idempotency-Replayed")


def _scope(path: str, notes: Declared) -> str | None:
    """The scope that a key needs there: the view's own, or that of everything below a path."""
    below = [scope for start, scope in NEEDED.items() if path == start or path.startswith(start + "/")]
    return notes.scope or next(iter(below), None)


def _say_who(operation: dict[str, Any], path: str, notes: Declared) -> None:
    ways: list[dict[str, list[str]]] = []
    if notes.session:
        ways += [{}, {"session": []}]
    if notes.key:
        scope = _scope(path, notes)
        ways.append({"key": [scope] if scope else []})
        ways += [{"operator": []}] if path.startswith("/api/admin/") else []
    operation["security"] = ways
