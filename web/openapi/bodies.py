"""Bodies that are not simply JSON of one form."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from web.openapi.declare import Body
from web.openapi.examples import example_of

_REF = "#/components/schemas/{model}"


def register(kind: type[BaseModel], schemas: dict[str, Any]) -> dict[str, Any]:
    """A reference to ``kind``, which is now among ``schemas`` with everything it refers to."""
    schema = kind.model_json_schema(ref_template=_REF)
    schemas |= schema.pop("$defs", {})
    schemas[kind.__name__] = schema
    return {"$ref": _REF.format(model=kind.__name__)}


def request(body: Body, schemas: dict[str, Any]) -> dict[str, Any]:
    """The request body of a view that takes JSON or text."""
    content: dict[str, Any] = {"application/json": {"schema": register(body.json, schemas)}}
    for media_type, example in body.texts.items():
        content[media_type] = {"schema": {"type": "string", "description": body.about}, "example": example}
    return {"content": content}


def text_answer(
    response: dict[str, Any], media_type: str, line: type[BaseModel] | None, schemas: dict[str, Any]
) -> None:
    """Make ``response`` one of text; OpenAPI has no word for lines of JSON, so their form stands beside."""
    content: dict[str, Any] = {"schema": {"type": "string"}}
    if line is not None:
        reference = register(line, schemas)
        content["x-line"] = reference
        content["schema"]["description"] = f"Each line is JSON of the form `{line.__name__}`."
        content["example"] = _line(example_of(reference, schemas))
    response["content"] = {media_type: content}


def other_formats(response: dict[str, Any], formats: Iterable[tuple[str, Any]]) -> None:
    """Add media types to a response, each with an example: a list of objects for JSON, otherwise text or bytes."""
    for media_type, example in formats:
        listed = {"type": "array", "items": {"type": "object"}}
        schema = {"type": "string"} if isinstance(example, str) else listed
        response["content"][media_type] = {"schema": schema, "example": example}


def _line(value: Any) -> str:
    return json.dumps(value) + "\n"
