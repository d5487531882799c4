"""``/api/exports``: open data over HTTP, piece by piece, as ``flask --app web export`` writes it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from apiflask import APIBlueprint
from flask import Response, request
from sqlalchemy.orm import Session

from web.access import require
from web.api.caching import CACHE_CONTROL, etag
from web.api.schemas.exports import BattleLine, BoardExportQuery, RowsQuery, VoteLine
from web.arena import board
from web.context import arena
from web.errors import FormatMissing, UnknownCategory
from web.models import now
from web.openapi import access, also_as, problems, revalidates, text_body
from web.ratings import exchange, formats, output

bp = APIBlueprint("exports", __name__, url_prefix="/api/exports", tag="Open data")

_JSONL = formats.FORMATS["jsonl"]
_STANDING = {"model": "smollm2-135m", "rank": 1, "rating": 1012.5, "low": 990.25, "high": 1034.75, "votes": 420}


def _files(columns: Iterable[str]) -> dict[str, str]:
    """The formats that are for files, as the document shows them."""
    return {formats.FORMATS["csv"]: ",".join(columns) + "\r\n", formats.FORMATS["parquet"]: "PAR1"}


@bp.get("/votes")
@bp.input(RowsQuery, location="query", arg_name="query")
@problems(FormatMissing)
@text_body(_JSONL, VoteLine)
@also_as(_files(VoteLine.model_fields))
@access(session=False, scope="export")
@revalidates
def votes(query: RowsQuery) -> Response:
    """All votes of before the delay, those that do not count too.

    The order is that of `vote`, a keyed hash, and stays as others join. Texts are never part of it.
    """
    return _rows("votes", query.format)


@bp.get("/battles")
@bp.input(RowsQuery, location="query", arg_name="query")
@problems(FormatMissing)
@text_body(_JSONL, BattleLine)
@also_as(_files(BattleLine.model_fields))
@access(session=False, scope="export")
@revalidates
def battles(query: RowsQuery) -> Response:
    """All battles of before the delay that are voted or over; none that can still be voted."""
    return _rows("battles", query.format)


@bp.get("/leaderboard")
@bp.input(BoardExportQuery, location="query", arg_name="query")
@problems(FormatMissing, UnknownCategory)
@text_body(_JSONL)
@also_as({"application/json": [_STANDING], _JSONL: json.dumps(_STANDING) + "\n", **_files(_STANDING)})
@revalidates
def leaderboard(query: BoardExportQuery) -> Response:
    """A board as it stands now, to six decimals: `model, rank, rating, low, high, votes`.

    It may be of votes that `/api/exports/votes` does not tell yet.
    """
    context = arena()
    snapshot = context.db.read(lambda s: board.newest(s, query.category))
    tag = etag("exported board", snapshot, query.category, query.format)
    if request.if_none_match.contains_weak(tag):
        return _tagged(Response(status=304), tag)
    rows = context.db.read(lambda s: _standings(s, snapshot))
    if query.format == "json":
        return _tagged(Response(output.as_json(rows), content_type="application/json"), tag)
    return _tagged(_response(query.format, rows, output.COLUMNS), tag)


def _standings(session: Session, snapshot: int) -> list[dict[str, Any]]:
    return output.plain(board.read_rows(session, snapshot))


def _rows(kind: exchange.Kind, shape: str) -> Response:
    require("export")
    context = arena()
    settings = context.settings
    wanted = exchange.Wanted(kind, exchange.cutoff(now(), settings.export_delay_days))
    seen = context.db.read(lambda s: (exchange.extent(s, wanted), board.newest_of_all(s)))
    day = wanted.before.date().isoformat()
    tag = etag("export", kind, shape, day, seen, exchange.pseudonym(settings.export_salting(), "tag", kind))
    if request.if_none_match.contains_weak(tag):
        return _tagged(Response(status=304), tag)
    read = exchange.read(context.db, settings.export_salting(), wanted)
    response = _tagged(_response(shape, read, wanted.columns), tag)
    response.headers["Content-Disposition"] = f'attachment; filename="{kind}-{day}.{shape}"'
    return response


def _response(shape: str, rows: Iterable[formats.Row], columns: Iterable[str]) -> Response:
    try:
        pieces = formats.written(shape, rows, columns)
    except formats.NotInstalled:
        raise FormatMissing("Ask for jsonl or csv.") from None
    return Response(pieces, content_type=formats.FORMATS[shape], headers={"X-Accel-Buffering": "no"})


def _tagged(response: Response, tag: str) -> Response:
    """Weak: it stands for the rows there are, and a format's bytes may change with the package that writes it."""
    response.set_etag(tag, weak=True)
    response.headers["Cache-Control"] = CACHE_CONTROL if request.path.endswith("leaderboard") else "private, no-cache"
    return response
