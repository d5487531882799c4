"""``/api/leaderboard``: the boards the records worker stored, who met whom, and how it came to this."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response
from sqlalchemy.orm import Session

from web.api.caching import catalog_tag, etag, revalidated
from web.api.schemas.leaderboard import (
    BoardOut,
    BoardQuery,
    BoardRow,
    HistoryOut,
    HistoryQuery,
    PairOut,
    PairsOut,
    PointOut,
)
from web.arena import board, pairs
from web.context import Arena, arena
from web.errors import UnknownCategory
from web.models import Rating, RatingSnapshot
from web.openapi import problems, revalidates

bp = APIBlueprint("leaderboard", __name__, url_prefix="/api/leaderboard", tag="Leaderboard")


@bp.get("")
@bp.input(BoardQuery, location="query", arg_name="query")
@bp.output(BoardOut)
@problems(UnknownCategory)
@revalidates
def leaderboard(query: BoardQuery) -> Response:
    """The models with counted votes.

    Best first, with 95 % intervals. Refitted within a second or so of every vote.
    """
    context = arena()
    newest = context.db.read(lambda s: board.newest(s, query.category))
    tag = etag("board", newest, query.category, query.limit, context.settings.min_votes, catalog_tag(context.catalog))
    return revalidated(tag, lambda: context.db.read(lambda s: _board(s, context, query)))


def _board(session: Session, context: Arena, query: BoardQuery) -> dict[str, Any]:
    found = board.read_board(session, context.catalog, context.settings.min_votes, query.category)
    return {
        "category": query.category,
        "categories": board.categories(session),
        "votes": found.votes,
        "models": [_row(row) for row in found.models[: query.limit]],
        "updated_at": found.updated_at.isoformat() if found.updated_at else None,
        "honesty": found.honesty,
    }


def _row(row: board.Row) -> dict[str, Any]:
    told = {name: getattr(row, name) for name in BoardRow.model_fields}
    return told | {"changed_at": row.changed_at.isoformat() if row.changed_at else None}


@bp.get("/pairs")
@bp.output(PairsOut)
@revalidates
def show_pairs() -> Response:
    """Who met whom, and who won.

    Every pair of models with counted votes. As of the same moment as the board `overall`.
    """
    context = arena()
    newest = context.db.read(board.newest)
    return revalidated(etag("pairs", newest), lambda: context.db.read(lambda s: _pairs(s, newest)))


def _pairs(session: Session, newest: int) -> dict[str, Any]:
    snapshot = session.get(RatingSnapshot, newest)
    met = pairs.read(session)
    return {
        "pairs": [{n: getattr(m, n) for n in PairOut.model_fields} for m in met],
        "votes": sum(m.games for m in met),
        "updated_at": snapshot.created_at.isoformat() if snapshot else None,
    }


@bp.get("/history")
@bp.input(HistoryQuery, location="query", arg_name="query")
@bp.output(HistoryOut)
@problems(UnknownCategory)
@revalidates
def history(query: HistoryQuery) -> Response:
    """Ratings over time.

    Snapshots of a board, oldest first. Only so many are kept; of those, `limit` evenly spread ones are told.
    """
    context = arena()
    newest = context.db.read(lambda s: board.newest(s, query.category))
    tag = etag("history", newest, query.category, query.limit, query.model)
    return revalidated(tag, lambda: context.db.read(lambda s: _history(s, query)))


def _history(session: Session, query: HistoryQuery) -> dict[str, Any]:
    moments = board.read_history(session, query.category, query.limit, query.model)
    return {
        "category": query.category,
        "snapshots": [
            {"at": m.at.isoformat(), "votes": m.votes, "models": [point(row) for row in m.models]} for m in moments
        ],
    }


def point(row: Rating) -> dict[str, Any]:
    """A stored rating, as the board tells it."""
    told = board.rounded(row)
    return {name: told[name] for name in PointOut.model_fields}
