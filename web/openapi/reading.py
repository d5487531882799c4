"""The document as people read it: resources, operations, fields of bodies as rows, curl lines. For ``/docs``."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from web.openapi.examples import resolve

_DEEPEST = 6
_METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True, slots=True)
class Row:
    """One field of a body: ``depth`` says inside how many others it stands."""

    name: str
    type: str
    about: str
    required: bool
    depth: int


@dataclass(frozen=True, slots=True)
class Content:
    """A body of one media type."""

    media_type: str
    rows: tuple[Row, ...]
    example: str


@dataclass(frozen=True, slots=True)
class Answer:
    """One status of an operation. ``codes``: of a refusal, each with its title."""

    status: str
    phrase: str
    about: str
    headers: tuple[str, ...]
    contents: tuple[Content, ...]
    codes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Parameter:
    """In the path, the query or a header."""

    name: str
    place: str
    type: str
    required: bool
    about: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One method on one path; ``anchor`` is unique on the page."""

    anchor: str
    method: str
    path: str
    title: str
    about: str
    who: str
    curl: str
    parameters: tuple[Parameter, ...]
    takes: tuple[Content, ...]
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """The operations of one tag."""

    name: str
    about: str
    operations: list[Operation] = field(default_factory=list)

    @property
    def anchor(self) -> str:
        """Of its heading."""
        return self.name.lower().replace(" ", "-")


def read_groups(spec: dict[str, Any], base: str) -> list[Group]:
    """All operations by tag, in the document's order; ``base`` is this arena's address, for the curl lines."""
    schemas = spec["components"]["schemas"]
    groups = {tag["name"]: Group(tag["name"], tag.get("description", "")) for tag in spec["tags"]}
    for path, operations in sorted(spec["paths"].items()):
        for method in _METHODS:
            if method in operations:
                found = operations[method]
                tag = (found.get("tags") or ["Operations"])[0]
                groups.setdefault(tag, Group(tag, "")).operations.append(_operation(method, path, found, schemas, base))
    return [group for group in groups.values() if group.operations]


def _operation(method: str, path: str, found: dict[str, Any], schemas: dict[str, Any], base: str) -> Operation:
    return Operation(
        anchor=found["operationId"].replace("_", "-"),
        method=method.upper(),
        path=path,
        title=found.get("summary", ""),
        about=found.get("description", ""),
        who=_who(found.get("security", [])),
        curl=_curl(method, path, found, base),
        parameters=tuple(_parameter(p, schemas) for p in found.get("parameters", ())),
        takes=_contents(found.get("requestBody", {}), schemas),
        answers=tuple(_answer(s, r, schemas) for s, r in sorted(found["responses"].items())),
    )


def _who(security: list[dict[str, list[str]]]) -> str:
    names = {name: scopes for way in security for name, scopes in way.items()}
    if not names:
        return "Anybody"
    scopes = names.get("key", [])
    key = f"a key with scope `{scopes[0]}`" if scopes else "a key"
    if "session" in names and "key" in names:
        return f"A session or {key}"
    return key.capitalize() if "key" in names else "A session"


def _parameter(found: dict[str, Any], schemas: dict[str, Any]) -> Parameter:
    schema = found.get("schema", {})
    about = found.get("description") or schema.get("description", "")
    return Parameter(found["name"], found["in"], type_of(schema, schemas), found.get("required", False), about)


def _answer(status: str, found: dict[str, Any], schemas: dict[str, Any]) -> Answer:
    phrase = HTTPStatus(int(status)).phrase
    headers = tuple(found.get("headers", ()))
    if status[0] in "45":
        examples = [e for c in found.get("content", {}).values() for e in c.get("examples", {}).items()]
        codes = tuple((code, example["summary"]) for code, example in examples)
        return Answer(status, phrase, "", headers, (), codes)
    return Answer(status, phrase, found.get("description", ""), headers, _contents(found, schemas))


def _contents(found: dict[str, Any], schemas: dict[str, Any]) -> tuple[Content, ...]:
    return tuple(
        Content(media_type, tuple(rows(c.get("x-line") or c.get("schema", {}), schemas)), _shown(c.get("example")))
        for media_type, c in found.get("content", {}).items()
    )


def _shown(example: Any) -> str:
    if example is None or isinstance(example, str):
        return example or ""
    return json.dumps(example, indent=2, ensure_ascii=False)


def rows(schema: dict[str, Any], schemas: dict[str, Any], depth: int = 0) -> Iterator[Row]:
    """The fields of an object, each followed by those inside it."""
    schema = _inside(schema, schemas)
    required = set(schema.get("required", ()))
    for name, part in schema.get("properties", {}).items():
        about = part.get("description") or resolve(part, schemas).get("description", "")
        yield Row(name, type_of(part, schemas), " ".join(about.split()), name in required, depth)
        if depth < _DEEPEST:
            yield from rows(part, schemas, depth + 1)


def _inside(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    """The object in a reference, a list or a choice."""
    schema = resolve(schema, schemas)
    if "items" in schema:
        return _inside(schema["items"], schemas)
    for choice in schema.get("anyOf", ()):
        found = _inside(choice, schemas)
        if "properties" in found:
            return found
    return schema


def type_of(schema: dict[str, Any], schemas: dict[str, Any]) -> str:
    """In a few words, such as ``list of string`` or ``"a" | "b" | null``, with its bounds."""
    schema = resolve(schema, schemas)
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(type_of(s, schemas) for s in schema["anyOf"]))
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    if "const" in schema:
        return json.dumps(schema["const"])
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {type_of(schema.get('items', {}), schemas)}"
    return (" | ".join(kind) if isinstance(kind, list) else kind) + _bounds(schema)


def _bounds(schema: dict[str, Any]) -> str:
    low, high = schema.get("minimum", schema.get("exclusiveMinimum")), schema.get("maximum")
    if low is not None and high is not None:
        return f", {low} to {high}"
    if low is not None:
        return f", from {low}"
    return f", at most {high}" if high is not None else ""


def _curl(method: str, path: str, found: dict[str, Any], base: str) -> str:
    words = ["curl -sS" if method == "get" else f"curl -sS -X {method.upper()}"]
    words[0] += f" {shlex.quote(base + path)}"
    security = found.get("security", [])
    if security and {} not in security:
        words.append('-H "Authorization: Bearer $ARENA_KEY"')
    elif {"session": []} in security:
        words.append("-b cookies -c cookies")
    content = found.get("requestBody", {}).get("content", {})
    if "application/json" in content:
        body = json.dumps(content["application/json"].get("example", {}), ensure_ascii=False)
        words += ["-H 'Content-Type: application/json'", f"-d {shlex.quote(body)}"]
    return " \\\n  ".join(words)
