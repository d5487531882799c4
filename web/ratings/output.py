"""A board as bytes: the same votes give the same bytes, whoever prints them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from web.models import Rating

if TYPE_CHECKING:
    from web.ratings.standings import Standing

COLUMNS = ("model", "rank", "rating", "low", "high", "votes")
DIGITS = 6
"""Decimals of a rating: far below what a vote moves, far above where machines differ."""


def plain(rows: Sequence[Standing | Rating], min_votes: int | None = None) -> list[dict[str, Any]]:
    """``model, rank, rating, low, high, votes`` of each row; with ``min_votes`` also how far to trust it."""
    out = []
    for row in rows:
        entry: dict[str, Any] = {
            "model": row.model,
            "rank": row.rank,
            "rating": _rounded(row.rating),
            "low": _rounded(row.lower),
            "high": _rounded(row.upper),
            "votes": row.votes,
        }
        if min_votes is not None and not isinstance(row, Rating):
            entry |= {
                "best_rank": row.best_rank,
                "worst_rank": row.worst_rank,
                "win_rate": _rounded(row.win_rate),
                "preliminary": row.votes < min_votes,
            }
        out.append(entry)
    return out


def as_json(entries: Sequence[dict[str, Any]]) -> str:
    """A JSON array, one row per line, ASCII."""
    return "[\n" + ",\n".join(json.dumps(entry) for entry in entries) + "\n]\n" if entries else "[]\n"


def as_table(rows: Sequence[Standing], min_votes: int) -> str:
    """For people; ``*`` marks who has fewer than ``min_votes`` votes."""
    width = max([5, *(len(row.model) for row in rows)])
    lines = [f"{'rank':>4}  {'model':<{width}}  {'rating':>7}  {'95 % interval':>17}  {'votes':>7}  {'ranks':>9}"]
    for row in rows:
        interval = f"{row.lower:.1f} .. {row.upper:.1f}"
        spread = str(row.best_rank) if row.best_rank == row.worst_rank else f"{row.best_rank}-{row.worst_rank}"
        mark = " *" if row.votes < min_votes else ""
        numbers = f"{row.rating:>7.1f}  {interval:>17}  {row.votes:>7}  {spread:>9}"
        lines.append(f"{row.rank:>4}  {row.model:<{width}}  {numbers}{mark}")
    if any(row.votes < min_votes for row in rows):
        lines.append(f"* preliminary: fewer than {min_votes} votes")
    return "\n".join(lines) + "\n"


def _rounded(number: float) -> float:
    return round(number, DIGITS) + 0.0  # no minus zero
