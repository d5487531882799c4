"""Bodies that APIFlask does not read for us: JSON or lines, as the asker likes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, TypeVar

from flask import request
from pydantic import BaseModel, ValidationError

from web.errors import InvalidBody, InvalidLines

Model = TypeVar("Model", bound=BaseModel)

JSONL = ("application/jsonl", "application/x-ndjson")
TEXT = "text/plain"


def json_body(kind: type[Model]) -> Model:
    """The body as ``kind``. Raises NotJson, or InvalidBody that names the first field which is wrong."""
    try:
        return kind.model_validate(request.get_json())
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InvalidBody(f"{field or 'body'}: {first['msg']}", field=field) from None


def lines() -> list[tuple[int, str]]:
    """Prompts of a body of lines, each with the number of its line; blank lines are none.

    A line of JSONL is a string, or an object with a string ``prompt`` (and whatever else). Raises InvalidBody for what
    is no text, InvalidLines for lines that hold no prompt.
    """
    try:
        text = request.get_data(cache=True).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidBody("The body must be UTF-8.") from None
    numbered = [(n, line.strip("\r")) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
    if request.mimetype == TEXT:
        return numbered
    found, wrong = [], []
    for n, line in numbered:
        prompt = next(_prompt(line), None)
        if prompt is None:
            wrong.append({"line": n, "code": "invalid_line", "detail": "must be a string or an object with `prompt`"})
        else:
            found.append((n, prompt))
    if wrong:
        raise InvalidLines(f"Line {wrong[0]['line']}: {wrong[0]['detail']}", lines=wrong[:20], refused=len(wrong))
    return found


def _prompt(line: str) -> Iterator[str]:
    try:
        value: Any = json.loads(line)
    except (ValueError, RecursionError):
        return
    if isinstance(value, dict):
        value = value.get("prompt")
    if isinstance(value, str):
        yield value
