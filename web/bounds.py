"""How large a request may be: its body by endpoint, its JSON by depth. What is larger is refused before it is read.

The head of a request (its line, the number and size of its headers) and how long it may take is the server's affair:
see ``web.serving`` and ``ops/gunicorn.conf.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from flask import Flask, current_app, request
from werkzeug.exceptions import NotFound

from web.context import arena
from web.errors import InvalidQuery, NotJson
from web.settings import WebSettings

View = TypeVar("View", bound=Callable[..., Any])

JSON = "application/json"
JSON_DEPTH = 32
"""Objects and arrays inside each other; no endpoint needs more than a few."""
_NOTE = "_arena_accepts"


@dataclass(frozen=True, slots=True)
class Accepts:
    """What a view takes. ``max_bytes``: of the body, or how to tell from the settings; None: the usual."""

    max_bytes: int | Callable[[WebSettings], int] | None = None
    media: tuple[str, ...] = (JSON,)


def accepts(
    *, max_bytes: int | Callable[[WebSettings], int] | None = None, media: tuple[str, ...] = (JSON,)
) -> Callable[[View], View]:
    """Declare what a view takes when it is not the usual: JSON of at most :func:`usual_bytes`."""

    def note(view: View) -> View:
        setattr(view, _NOTE, Accepts(max_bytes, media))
        return view

    return note


def usual_bytes(settings: WebSettings) -> int:
    """Bytes a request body may have: the longest prompt in JSON's longest spelling, and some room."""
    return settings.prompt_max_chars * 12 + 4096


def depth(value: Any, most: int = JSON_DEPTH) -> int:
    """How deep a parsed JSON value nests, counted up to ``most + 1``."""
    level, here = 0, [value]
    while here and level <= most:
        inside = [v for v in here if isinstance(v, dict | list)]
        if not inside:
            return level
        level += 1
        here = [x for v in inside for x in (v.values() if isinstance(v, dict) else v)]
    return level


def has_body() -> bool:
    """Whether the request brings one."""
    return request.content_length not in (None, 0) or "Transfer-Encoding" in request.headers


def init_app(app: Flask, settings: WebSettings) -> None:
    """Register the check; it must come before anything that reads a body."""
    app.config["MAX_CONTENT_LENGTH"] = usual_bytes(settings)

    @app.before_request
    def check_address() -> None:
        if "\x00" in request.path:
            raise NotFound()
        if any("\x00" in text for pair in request.args.items(multi=True) for text in pair):
            raise InvalidQuery("The address holds a NUL character, which no text may.")

    @app.before_request
    def check_body() -> None:
        if not has_body():
            return
        view = current_app.view_functions.get(request.endpoint or "")
        taken: Accepts = getattr(view, _NOTE, Accepts())
        if taken.max_bytes is not None:
            most = taken.max_bytes
            request.max_content_length = most(arena().settings) if callable(most) else most
        if request.method not in ("GET", "HEAD", "OPTIONS") and not _is_one_of(taken.media):
            raise NotJson(f"Send the body as {' or '.join(taken.media)}.")


def _is_one_of(media: tuple[str, ...]) -> bool:
    return request.mimetype in media or (JSON in media and request.is_json)
