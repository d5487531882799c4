"""Hooks of schemathesis for ``test_conformance.py``; its process loads them by name."""

from __future__ import annotations

import itertools
from typing import Any

import schemathesis

_numbers = itertools.count()


@schemathesis.serializer("application/jsonl", "application/x-ndjson")
def lines(context: Any, value: Any) -> bytes:
    """Text as it is; schemathesis knows no lines of JSON."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """A key of its own for every request, long enough for a stranger's: neither is a matter of its form."""
    key = (case.headers or {}).get("Idempotency-Key")
    if isinstance(key, str) and 0 < len(key) <= 64 and key.isascii() and key.isprintable():
        case.headers["Idempotency-Key"] = f"{key[:40]}-{next(_numbers):022}"
