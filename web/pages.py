"""The pages people see: the arena, a battle's address, the leaderboard, what is kept.

The arena is one island of TypeScript; everything else is a document that needs no script at all.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, current_app, make_response, render_template, request

from web.arena.board import OVERALL
from web.arena.sharing import read_share
from web.assets import STATIC, Assets, finish_static
from web.board_view import SORTS, WORDS, read_board_page, read_model_page
from web.context import arena
from web.errors import UnknownBattle
from web.ratings.features import language

pages = Blueprint("pages", __name__)
_assets = Assets()

_BATTLE = re.compile(r"[A-Za-z0-9_-]{8,40}")
_MAIL = re.compile(r"[^@\s/]+@[^@\s/]+")
_READ_FOR_LANGUAGE = 2_000


@pages.get("/")
def home() -> str:
    return _arena_page()


@pages.get("/battles")
def mine() -> str:
    """A shell that knows nothing: the list comes from ``/api/battles``, for the session that asks."""
    return render_template("battles.html")


@pages.get("/battles/<battle_id>")
def battle(battle_id: str) -> str:
    """The same page; the island reads the address and follows that battle, if it is the asker's own."""
    if not _BATTLE.fullmatch(battle_id):
        raise UnknownBattle()
    return _arena_page()


@pages.get("/shared/<share_id>")
def shared(share_id: str) -> Response:
    """A battle that its owner shows to others; needs no script, and search engines are told to leave it out."""
    context = arena()
    found = context.db.read(lambda s: read_share(s, context.catalog, share_id))
    page = render_template("shared.html", shared=found)
    return make_response(page, 200, {"X-Robots-Tag": "noindex"})


@pages.get("/leaderboard")
def leaderboard() -> str:
    context = arena()
    sort = request.args.get("sort", "")
    page = context.db.read(
        lambda s: read_board_page(s, context, _category(), sort if sort in SORTS else SORTS[0]),
    )
    names = {row.model: row.name for row in page.board.models}
    return render_template(
        "leaderboard.html",
        page=page,
        min_votes=context.settings.min_votes,
        board_url=_board_url,
        name_of=lambda model: names.get(model, model),
        **WORDS,
    )


def _category() -> str:
    return request.args.get("category") or OVERALL


def _board_url(category: str, sort: str) -> str:
    """The plain address for what is shown without being asked for."""
    asked = {"category": (category, OVERALL), "sort": (sort, SORTS[0])}
    query = urlencode({name: value for name, (value, usual) in asked.items() if value != usual})
    return f"/leaderboard?{query}" if query else "/leaderboard"


@pages.get("/models/<model_id>")
def model(model_id: str) -> str:
    """One contender: what is known of it and how it fared; also for those that take part no more."""
    context = arena()
    page = context.db.read(lambda s: read_model_page(s, context, model_id))
    votes = context.settings.min_votes
    return render_template("model.html", page=page, min_votes=votes, board_url=_board_url, **WORDS)


@pages.get("/about")
def about() -> str:
    return render_template("about.html", models=arena().catalog.models)


@pages.get("/notice")
def notice() -> str:
    """What is stored, published and deleted here, as this arena is configured."""
    settings = arena().settings
    days = settings.retain_text_days
    return render_template(
        "notice.html",
        models=arena().catalog.models,
        store_text=settings.store_text,
        retain_days=days,
        contact=settings.contact,
        contact_url=contact_url(settings.contact),
    )


def contact_url(contact: str) -> str | None:
    """Where a contact leads: a mail address or a web address; None for anything else."""
    if contact.startswith(("https://", "http://", "mailto:")):
        return contact
    return f"mailto:{contact}" if _MAIL.fullmatch(contact) else None


@pages.get("/operator")
def operator() -> str:
    """A shell that knows nothing: whatever it shows comes from ``/api/admin``, for those who sign in."""
    return render_template("operator.html")


def _arena_page() -> str:
    settings = arena().settings
    return render_template("arena.html", settings=settings, guarded=settings.challenge != "off")


@pages.app_template_filter("tongue")
def tongue(text: str) -> str:
    """What belongs in a ``lang`` attribute around a text by whomever: its language, or the empty word for unknown."""
    found = language(text[:_READ_FOR_LANGUAGE])
    return "" if found == "und" else found


@pages.app_context_processor
def _helpers() -> dict[str, Any]:
    return {"asset": _assets.url, "preloads": _assets.preloads, "has_assets": _assets.exist, "here": request.path}


@pages.after_app_request
def _cache(response: Response) -> Response:
    if request.endpoint == "static":
        return finish_static(response, Path(current_app.static_folder or STATIC))
    if request.blueprint == "pages":
        response.headers.setdefault("Cache-Control", "no-cache")
    return response
