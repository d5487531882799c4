"""All problems there are, read off the classes, so that the table of codes cannot lack one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from web.errors import HTTP_PROBLEMS, ArenaError


@dataclass(frozen=True, slots=True)
class Known:
    """One row of the table. ``later``: the reply says with ``Retry-After`` when to try again."""

    code: str
    status: int
    title: str
    later: bool = False


def known(kind: type[ArenaError]) -> Known:
    """The row of one class."""
    return Known(kind.code, kind.status, kind.title, kind.later)


def by_http(status: int) -> Known:
    """The row of a refusal that the HTTP layer makes, before any view is asked."""
    code, title = HTTP_PROBLEMS[status]
    return Known(code, status, title)


def every_problem() -> list[Known]:
    """Every refusal that loaded code can make, by status and code."""
    rows = {(k.status, k.code): k for k in map(by_http, HTTP_PROBLEMS)}
    rows |= {(k.status, k.code): k for k in map(known, _classes(ArenaError))}
    return [rows[key] for key in sorted(rows)]


def _classes(kind: type[ArenaError]) -> Iterator[type[ArenaError]]:
    if not kind.__name__.startswith("_"):
        yield kind
    for below in kind.__subclasses__():
        yield from _classes(below)
