"""What a view says of itself beyond its schemas: decorators that only take notes, and change nothing it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pydantic import BaseModel

from web.errors import ArenaError

View = TypeVar("View", bound=Callable[..., Any])

_NOTES = "_arena_declared"


@dataclass(frozen=True, slots=True)
class Body:
    """What a view takes that reads its body itself: JSON of a form, or text. ``texts``: media type to example."""

    json: type[BaseModel]
    texts: dict[str, str]
    about: str


@dataclass(frozen=True, slots=True)
class Declared:
    """One view's notes. ``session``: a browser's session will do; ``scope``: a key needs this scope."""

    problems: tuple[type[ArenaError], ...] = ()
    session: bool = False
    key: bool = False
    scope: str | None = None
    openai: bool = False
    cached: bool = False
    text: tuple[str, type[BaseModel] | None] | None = None
    """The media type of what it answers with 200, when that is text, and of what form each line is."""
    formats: tuple[tuple[str, Any], ...] = ()
    """Other media types that it answers with when asked to, each with an example: text, or what JSON holds."""
    body: Body | None = None
    challenged: bool = False
    leads: tuple[tuple[str, str], ...] = ()
    """Path parameters that its answer holds, and where: a JSON pointer."""

    @property
    def asks(self) -> bool:
        """Whether it looks at who is asking."""
        return self.session or self.key


def declared(view: Callable[..., Any]) -> Declared:
    """What was noted of ``view``; nothing when nothing was."""
    found: Declared = getattr(view, _NOTES, Declared())
    return found


def problems(*kinds: type[ArenaError]) -> Callable[[View], View]:
    """The view may refuse with any of ``kinds``; the document lists their codes under their statuses."""
    return lambda view: _note(view, problems=(*declared(view).problems, *kinds))


def access(*, session: bool = True, scope: str | None = None, key: bool = True) -> Callable[[View], View]:
    """Who may ask: a browser's session (one begins where there is none), a key, or either.

    ``scope`` is what a key must have; with ``session=False`` there is no other way than a key.
    """
    return lambda view: _note(view, session=session, key=key, scope=scope)


def may_be_challenged(view: View) -> View:
    """Something may stand before it that is answered in the header ``Arena-Challenge`` (see :mod:`web.challenge`)."""
    return _note(view, challenged=True)


def speaks_openai(view: View) -> View:
    """Its errors have the form that OpenAI's have, ``{"error": {message, type, param, code}}``, whatever refuses."""
    return _note(view, openai=True)


def revalidates(view: View) -> View:
    """Its answers have an ``ETag``; asked with it (``If-None-Match``) it says 304 when nothing changed."""
    return _note(view, cached=True)


def text_body(media_type: str, line: type[BaseModel] | None = None) -> Callable[[View], View]:
    """What it answers with 200 is text of ``media_type``; ``line``: the form of each line of JSON in it."""
    return lambda view: _note(view, text=(media_type, line))


def also_as(formats: dict[str, Any]) -> Callable[[View], View]:
    """What it answers with 200 may, by its query, have other media types: each with an example of what it is then."""
    return lambda view: _note(view, formats=tuple(formats.items()))


def leads_to(parameter: str, pointer: str) -> Callable[[View], View]:
    """Its answer holds, at a JSON pointer, what goes into paths as ``parameter``: the document links them."""
    return lambda view: _note(view, leads=(*declared(view).leads, (parameter, pointer)))


def takes(json: type[BaseModel], texts: dict[str, str], about: str = "") -> Callable[[View], View]:
    """It reads its body itself: JSON of a form, or text of one of the media types, of which examples are given."""
    return lambda view: _note(view, body=Body(json, texts, about))


def _note(view: View, **changes: Any) -> View:
    setattr(view, _NOTES, replace(declared(view), **changes))
    return view
