"""All problems there are, read off the classes, so that the table of codes cannot lack one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from web.errors import HTTP_CODES, ArenaError


@dataclass(frozen=True, slots=True)
class Known:
    """One row of the table. ``later``: the reply says with ``Retry-After`` when to try again."""

    code: str
    status: int
    title: str
    later: bool = False


_HTTP_TITLES = {
    400: "The request makes no sense",
    404: "There is nothing at this address",
    405: "This address does not know this method",
    413: "The body is too large",
    414: "The address is too long",
    415: "The body is not JSON",
    431: "The headers are too large",
}


def known(kind: type[ArenaError]) -> Known:
    """The row of one class."""
    return Known(kind.code, kind.status, kind.title, kind.later)


def by_http(status: int) -> Known:
    """The row of a refusal that the HTTP layer makes, before any view is asked."""
    return Known(HTTP_CODES[status], status, _HTTP_TITLES[status])


def every_problem() -> list[Known]:
    """Every refusal that loaded code can make, by status and code."""
    rows = {(k.status, k.code): k for k in map(by_http, _HTTP_TITLES)}
    rows |= {(k.status, k.code): k for k in map(known, _classes(ArenaError))}
    return [rows[key] for key in sorted(rows)]


def _classes(kind: type[ArenaError]) -> Iterator[type[ArenaError]]:
    if not kind.__name__.startswith("_"):
        yield kind
    for below in kind.__subclasses__():
        yield from _classes(below)
