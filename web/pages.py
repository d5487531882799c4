"""The pages people see: the arena, a battle's address, the leaderboard, what is kept.

The arena is one island of TypeScript; everything else is a document that needs no script at all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, current_app, make_response, render_template, request

from web.arena.board import Row, read_board
from web.arena.sharing import read_share
from web.assets import STATIC, Assets, finish_static
from web.context import arena
from web.errors import UnknownBattle

pages = Blueprint("pages", __name__)
_assets = Assets()

WHISKER_WIDTH, WHISKER_MARGIN = 200, 8
VERDICTS = {"a": "A was preferred", "b": "B was preferred", "tie": "A tie", "both_bad": "Both were found bad"}
_BATTLE = re.compile(r"[A-Za-z0-9_-]{8,40}")
_MAIL = re.compile(r"[^@\s/]+@[^@\s/]+")


@pages.get("/")
def home() -> str:
    return _arena_page()


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
    page = render_template("shared.html", shared=found, verdicts=VERDICTS)
    return make_response(page, 200, {"X-Robots-Tag": "noindex"})


@pages.get("/leaderboard")
def leaderboard() -> str:
    context = arena()
    board = context.db.read(lambda s: read_board(s, context.catalog, context.settings.min_votes))
    return render_template(
        "leaderboard.html",
        board=board,
        rows=with_whiskers(board.models),
        makers={spec.id: spec.maker for spec in context.catalog.entries},
        min_votes=context.settings.min_votes,
    )


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
        retain_days=None if days is None else f"{days:g}",
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
    return render_template("arena.html", prompt_max=settings.prompt_max_chars, guarded=settings.challenge != "off")


@dataclass(frozen=True, slots=True)
class Whisker:
    """A rating and its interval on the shared axis, in the drawing's own units."""

    low: float
    point: float
    high: float


def with_whiskers(rows: Sequence[Row]) -> list[tuple[Row, Whisker]]:
    """Every row with its place on one axis, which spans all intervals."""
    if not rows:
        return []
    left = min(row.lower for row in rows)
    right = max(row.upper for row in rows)
    scale = (WHISKER_WIDTH - 2 * WHISKER_MARGIN) / ((right - left) or 1.0)

    def place(value: float) -> float:
        return round(WHISKER_MARGIN + (value - left) * scale, 1)

    return [(row, Whisker(place(row.lower), place(row.rating), place(row.upper))) for row in rows]


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
