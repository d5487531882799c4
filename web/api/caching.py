"""Answers that are the same for everybody until something changes: ETag, 304, and each body made once per process."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from flask import Response, current_app, json, request

from worker.contract.catalog import Catalog

CACHE_CONTROL = "public, no-cache"
"""May be kept by anybody and is asked about before each use; asking costs one look into an index."""
_MOST_BYTES = 16 << 20
_EXTENSION = "arena_bodies"
_CATALOG = "arena_catalog_tag"


class Bodies:
    """Bodies by ETag, the least recently used forgotten first. An ETag names its content, so nothing goes stale."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._most = most_bytes
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, tag: str) -> bytes | None:
        """The body, which counts as used now."""
        with self._lock:
            if tag in self._kept:
                self._kept.move_to_end(tag)
            return self._kept.get(tag)

    def put(self, tag: str, body: bytes) -> None:
        """Keep ``body``, unless it is larger than everything together may be."""
        with self._lock:
            if tag in self._kept or len(body) > self._most:
                return
            self._kept[tag] = body
            self._bytes += len(body)
            while self._bytes > self._most:
                self._bytes -= len(self._kept.popitem(last=False)[1])


def etag(*parts: object) -> str:
    """A strong tag of everything an answer depends on."""
    return hashlib.blake2b(repr(parts).encode(), digest_size=12).hexdigest()


def catalog_tag(catalog: Catalog) -> str:
    """A tag of the catalog; made once for each that is read."""
    known: dict[str, tuple[Catalog, str]] = current_app.extensions
    kept = known.get(_CATALOG)
    if kept is None or kept[0] is not catalog:
        kept = known[_CATALOG] = (catalog, etag(catalog))
    return kept[1]


def revalidated(tag: str, make: Callable[[], dict[str, Any]]) -> Response:
    """304 when the asker has ``tag`` already, else the body, from ``make`` if this process has not made it yet."""
    if request.if_none_match.contains_weak(tag):
        response = Response(status=304)
    else:
        bodies: Bodies = current_app.extensions.setdefault(_EXTENSION, Bodies())
        body = bodies.get(tag)
        if body is None:
            body = (json.dumps(make()) + "\n").encode()
            bodies.put(tag, body)
        response = Response(body, content_type="application/json")
    response.set_etag(tag)
    response.headers["Cache-Control"] = CACHE_CONTROL
    return response
