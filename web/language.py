"""Which language a page is in, and how numbers and moments are written in it.

English stands in the sources. Every other language is one file, ``translations/<tag>/LC_MESSAGES/messages.po``, which
is read as it is when the app starts: there is nothing to compile and nothing to register. A person's own choice
(``?lang=``, kept in a cookie) comes before what their browser asks for. ``python -m ops.words`` keeps them complete.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from gettext import NullTranslations
from pathlib import Path
from urllib.parse import urlencode

from babel import Locale
from babel.dates import format_date, format_datetime
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, format_percent
from babel.support import Translations
from flask import Flask, Response, g, request
from jinja2 import pass_context

TRANSLATIONS = Path(__file__).parent / "translations"
SOURCE = "en"
PARAMETER, COOKIE = "lang", "arena_language"
_COOKIE_MAX_AGE_S = 365 * 24 * 3600
_AS_WRITTEN_IN = {SOURCE: "en_GB"}
"""The sources spell as the British do; so they date and count."""


@dataclass(frozen=True)
class Language:
    """``tag`` is what goes into ``lang`` attributes; ``name`` is what its speakers call it."""

    tag: str
    locale: Locale
    words: NullTranslations

    @property
    def name(self) -> str:
        return str(Locale.parse(self.tag, sep="-").get_language_name()).capitalize()


@cache
def languages(folder: Path = TRANSLATIONS) -> dict[str, Language]:
    """Every language there is a file for, by tag; English first."""
    files = sorted(folder.glob("*/LC_MESSAGES/messages.po"))
    found = {SOURCE: Language(SOURCE, Locale.parse(_AS_WRITTEN_IN[SOURCE]), NullTranslations())}
    for file in files:
        name = file.parent.parent.name
        tag = name.replace("_", "-")
        found[tag] = Language(tag, Locale.parse(name), _read(file))
    return found


def _read(file: Path) -> Translations:
    compiled = io.BytesIO()
    with file.open("rb") as source:
        write_mo(compiled, read_po(source))
    compiled.seek(0)
    return Translations(compiled)


def current() -> Language:
    """This request's: what its address says, else what its cookie says, else the best of those its browser takes."""
    if "language" not in g:
        known = languages()
        chosen = (request.args.get(PARAMETER), request.cookies.get(COOKIE))
        tag = next((t for t in chosen if t in known), None)
        g.language = known[tag or request.accept_languages.best_match(list(known)) or SOURCE]
    found: Language = g.language
    return found


def gettext(message: str) -> str:
    """The message in this request's language; English when the catalogue lacks it."""
    return current().words.gettext(message)


def ngettext(one: str, many: str, n: int) -> str:
    """The form that fits ``n``."""
    return current().words.ngettext(one, many, n)


def number(value: float, decimals: int | None = None) -> str:
    """``1,204`` or ``1.204``, ``0.5`` or ``0,5``; as many decimals as it has, up to three, unless told."""
    pattern = "#,##0.###" if decimals is None else "#,##0" + ("." + "0" * decimals if decimals else "")
    return str(format_decimal(value, pattern, locale=current().locale))


def rating(value: float) -> str:
    """``1204`` in every language, as on a picture's axis: a mark on a scale; ``1.204`` would read as one and a bit."""
    return str(round(value))


def percent(share: float, decimals: int = 0) -> str:
    """``56%`` or ``56 %``."""
    locale = current().locale
    whole = locale.percent_formats[None].pattern
    pattern = whole.replace("#,##0", "#,##0." + "0" * decimals) if decimals else whole
    return str(format_percent(share, pattern, locale=locale))


def moment(at: datetime) -> str:
    """A day and a time of day, in UTC."""
    return f"{day(at)}, {format_datetime(at, 'HH:mm', locale=current().locale)} UTC"


def day(at: datetime) -> str:
    """``23 November 2026``."""
    return str(format_date(at, "long", locale=current().locale))


def in_language(tag: str) -> str:
    """This page's address in another language."""
    return f"{request.path}?{urlencode({**request.args.to_dict(), PARAMETER: tag})}"


def _at_render(filter_: Callable[..., str]) -> Callable[..., str]:
    """Of constants, too: Jinja would work those out once, in the language of whoever comes first."""

    @pass_context
    def late(context: object, *args: object) -> str:
        return filter_(*args)

    return late


def init_app(app: Flask) -> None:
    """Templates speak and count in the request's language; replies say in which they are."""
    languages()
    app.jinja_env.add_extension("jinja2.ext.i18n")
    app.jinja_env.policies["ext.i18n.trimmed"] = True
    app.jinja_env.install_gettext_callables(gettext, ngettext, newstyle=True)  # type: ignore[attr-defined]
    for filter_ in (number, rating, percent, moment, day):
        app.jinja_env.filters[filter_.__name__] = _at_render(filter_)

    @app.context_processor
    def helpers() -> dict[str, object]:
        return {"language": current(), "languages": list(languages().values()), "in_language": in_language}

    @app.after_request
    def finish(response: Response) -> Response:
        if "language" not in g:
            return response
        response.headers["Content-Language"] = current().tag
        response.vary.update(("Accept-Language", "Cookie"))
        if request.args.get(PARAMETER) == current().tag and request.method == "GET":
            response.set_cookie(
                COOKIE,
                current().tag,
                max_age=_COOKIE_MAX_AGE_S,
                httponly=True,
                samesite="Lax",
                secure=request.is_secure,
                path="/",
            )
        return response
