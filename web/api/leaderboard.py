"""``/api/leaderboard``: the newest board the records worker stored."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint

from web.api.schemas import BoardOut
from web.arena.board import read_board
from web.context import arena

bp = APIBlueprint("leaderboard", __name__, url_prefix="/api", tag="Leaderboard")


@bp.get("/leaderboard")
@bp.output(BoardOut)
def leaderboard() -> dict[str, Any]:
    """All models with counted votes, best first, with 95 % intervals."""
    context = arena()
    board = context.db.read(lambda s: read_board(s, context.catalog, context.settings.min_votes))
    return {
        "models": [{name: getattr(row, name) for name in row.__dataclass_fields__} for row in board.models],
        "updated_at": board.updated_at.isoformat() if board.updated_at else None,
    }
