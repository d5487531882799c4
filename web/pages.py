"""The pages people see: the arena, a battle's address, the leaderboard, what is kept.

The arena is one island of TypeScript; everything else is a document that needs no script at all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, current_app, render_template, request

from web.arena.board import Row, read_board
from web.assets import STATIC, Assets, finish_static
from web.context import arena
from web.errors import UnknownBattle

pages = Blueprint("pages", __name__)
_assets = Assets()

WHISKER_WIDTH, WHISKER_MARGIN = 200, 8
_BATTLE = re.compile(r"[A-Za-z0-9_-]{8,40}")


@pages.get("/")
def home() -> str:
    return _arena_page()


@pages.get("/battles/<battle_id>")
def battle(battle_id: str) -> str:
    """The same page; the island reads the address and follows that battle, if it is the asker's own."""
    if not _BATTLE.fullmatch(battle_id):
        raise UnknownBattle()
    return _arena_page()


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


def _arena_page() -> str:
    return render_template("arena.html", prompt_max=arena().settings.prompt_max_chars)


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
