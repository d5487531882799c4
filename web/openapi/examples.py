"""An example of a schema, made of the examples its fields give; so that no example can be of another form."""

from __future__ import annotations

from typing import Any

_OF_TYPE: dict[str, Any] = {"string": "...", "integer": 1, "number": 1.0, "boolean": True, "null": None}
_DEEPEST = 8


def resolve(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    """``schema``, or what it refers to."""
    while "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    return schema


def example_of(schema: dict[str, Any], schemas: dict[str, Any], depth: int = 0) -> Any:
    """A value of ``schema``: its own example, its default, the first of its choices, or what its parts make."""
    if schema.get("examples"):
        return schema["examples"][0]
    schema = resolve(schema, schemas)
    for known in ("examples", "enum"):
        if schema.get(known):
            return schema[known][0]
    for fixed in ("example", "const", "default"):
        if schema.get(fixed) is not None:
            return schema[fixed]
    for choice in ("anyOf", "oneOf", "allOf"):
        if schema.get(choice):
            return example_of(schema[choice][0], schemas, depth + 1)
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = kind[0]
    if kind == "object" or "properties" in schema:
        if depth > _DEEPEST:
            return {}
        shown = {n: s for n, s in schema.get("properties", {}).items() if not _left_out(n, s, schema)}
        return {n: example_of(s, schemas, depth + 1) for n, s in shown.items()}
    if kind == "array":
        item = example_of(schema.get("items", {}), schemas, depth + 1)
        return [] if depth > _DEEPEST else [item] * max(1, schema.get("minItems", 1))
    return _OF_TYPE.get(kind) if isinstance(kind, str) else None


def _left_out(name: str, part: dict[str, Any], schema: dict[str, Any]) -> bool:
    """An optional field that is null unless it is given, and of which nobody gave an example."""
    optional = name not in schema.get("required", ()) and {"type": "null"} in part.get("anyOf", ())
    return optional and not part.get("examples")
