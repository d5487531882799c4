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


SAID = frozenset(
    ("retry-after", "etag", "idempotency-replayed", "www-authenticate", "location", "x-arena-cache", "allow")
)
"""Headers that mean something to a client, beside those that begin with ``ratelimit-``."""


@schemathesis.check
def headers_are_said(context: Any, response: Any, case: Any) -> None:
    """What schemathesis does not ask: whether a header that was sent is in the document, for that status."""
    responses = case.operation.definition.raw["responses"]
    said = {name.lower() for name in responses.get(str(response.status_code), {}).get("headers", {})}
    sent = {name for name in response.headers if name in SAID or name.startswith("ratelimit-")}
    ours = case.method.upper() == case.operation.method.upper() and str(response.status_code) in responses
    if ours and sent - said:
        raise AssertionError(f"{response.status_code} came with {sorted(sent - said)}, of which the document is silent")


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """A key of its own for every request, long enough for a stranger's: neither is a matter of its form."""
    key = (case.headers or {}).get("Idempotency-Key")
    if isinstance(key, str) and 0 < len(key) <= 64 and all("!" <= c <= "~" for c in key):
        case.headers["Idempotency-Key"] = f"{key[:40]}-{next(_numbers):022}"
