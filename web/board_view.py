"""The leaderboard and the models' pages: what their templates show, read and put into words and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from sqlalchemy.orm import Session

from web.arena import pairs
from web.arena.board import OVERALL, Board, Moment, Row, categories, read_board, read_history
from web.arena.catalogue import Known, known
from web.arena.contenders import Contender, read_contender
from web.arena.pairs import Meetings
from web.context import Arena
from web.language import current, gettext, ngettext, number, rating
from web.ratings import pictures
from web.ratings.pictures import Cell, Line
from web.ratings.whiskers import Interval, extent, whisker, whiskers

SORTS = ("rank", "name", "rating", "votes", "win_rate")
"""By what the table can be ordered; numbers that are better when greater come greatest first."""
_IN_PICTURE = 12
"""Lines of models that one picture of histories can tell apart."""
_SNAPSHOTS = 40
_TABLE_MOMENTS = 6


@dataclass(frozen=True, slots=True)
class BoardPage:
    """``rows`` are in the order asked for, the pictures in that of the ranking."""

    board: Board
    category: str
    categories: list[str]
    sort: str
    rows: list[tuple[Row, Markup]]
    heatmaps: tuple[Markup, Markup] | None
    matrix: list[tuple[Row, list[Meetings | None]]]
    history: Markup | None
    moments: list[tuple[Moment, dict[str, float]]]
    traced: list[Row]


def read_board_page(session: Session, arena: Arena, category: str, sort: str) -> BoardPage:
    """Raises UnknownCategory."""
    board = read_board(session, arena.catalog, arena.settings.min_votes, category)
    ranked = board.models
    met = {(m.a, m.b): m for m in pairs.read(session)} if category == OVERALL else {}
    moments = read_history(session, category, _SNAPSHOTS)
    traced = list(ranked[:_IN_PICTURE])
    return BoardPage(
        board,
        category,
        categories(session),
        sort,
        _with_whiskers(_sorted(ranked, sort), ranked),
        _heatmaps(ranked, met) if met else None,
        [(row, [_between(met, row.model, other.model) for other in ranked]) for row in ranked] if met else [],
        _history(traced, moments, arena.settings.min_votes),
        [(m, {r.model: r.rating for r in m.models}) for m in _spread(moments)],
        traced,
    )


def _sorted(rows: Sequence[Row], sort: str) -> list[Row]:
    if sort == "name":
        return sorted(rows, key=lambda row: row.name.casefold())
    if sort == "rank":
        return list(rows)
    return sorted(rows, key=lambda row: (-getattr(row, sort), row.rank))


def _with_whiskers(rows: Sequence[Row], of: Sequence[Row]) -> list[tuple[Row, Markup]]:
    """Every row with its interval, all on one axis: that of those ``of`` the board that are not preliminary."""
    low, high = extent([_interval(row) for row in of])
    return [(row, _safe(whisker(_interval(row), low, high, interval_in_words(row)))) for row in rows]


def _interval(row: Any, label: str = "") -> Interval:
    return Interval(label, row.lower, row.rating, row.upper, getattr(row, "preliminary", False))


def interval_in_words(row: Any) -> str:
    """What the picture of an interval says to who cannot see it."""
    return gettext("between %(low)s and %(high)s") % {"low": rating(row.lower), "high": rating(row.upper)}


def _between(met: Mapping[tuple[str, str], Meetings], row: str, column: str) -> Meetings | None:
    found = met.get((row, column)) or met.get((column, row))
    return found.seen_from(row) if found else None


def _heatmaps(ranked: Sequence[Row], met: Mapping[tuple[str, str], Meetings]) -> tuple[Markup, Markup]:
    cells = {}
    for m in met.values():
        cells[m.a, m.b] = Cell(m.rate_a, m.games)
        cells[m.b, m.a] = Cell(1 - m.rate_a, m.games)
    labels = [(row.model, row.name) for row in ranked]
    tip = gettext("{row} against {column}: {rate} % of {games}")
    return (
        _safe(pictures.heatmap(labels, cells, gettext("Share of battles won by the row against the column"), tip)),
        _safe(pictures.heatmap(labels, cells, gettext("Battles of the row with the column"), tip, counts=True)),
    )


def _history(traced: Sequence[Row], moments: Sequence[Moment], min_votes: int) -> Markup | None:
    if len(moments) < 2:
        return None
    lines = _lines([(row.model, row.name) for row in traced], moments, min_votes)
    return _safe(pictures.history(lines, gettext("Ratings over time")))


def _lines(models: Sequence[tuple[str, str]], moments: Sequence[Moment], min_votes: int) -> list[Line]:
    """Of each from ``min_votes`` votes on: what it was rated before jumps about and would leave the others no room.

    From the first vote on while that would leave nothing to draw.
    """
    for least in (min_votes, 0):
        lines = [Line(name, _trace(model, moments, least)) for model, name in models]
        if any(len(one.points) > 1 for one in lines):
            break
    return [one for one in lines if one.points]


def _trace(model: str, moments: Sequence[Moment], least: int) -> list[tuple[Any, float]]:
    return [(m.at, row.rating) for m in moments for row in m.models if row.model == model and row.votes >= least]


def _spread(moments: Sequence[Moment]) -> list[Moment]:
    """A few of them, for a table: newest first, evenly spaced."""
    step = max(1, -(-len(moments) // _TABLE_MOMENTS))
    return list(reversed(moments))[::step]


# ── one model ────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class ModelPage:
    """``row``: its place on the board of all votes, None before its first; ``names``: of the models it met."""

    known: Known
    contender: Contender
    row: Row | None
    ranked: int
    record: Meetings
    names: Mapping[str, str]
    standings: Markup | None
    history: Markup | None
    moments: list[tuple[Moment, dict[str, float]]]
    variants: list[Known]


def read_model_page(session: Session, arena: Arena, model: str) -> ModelPage:
    """Raises UnknownModel for one that nobody knows and that never had a counted vote."""
    contender = read_contender(session, arena.catalog, model)
    board = read_board(session, arena.catalog, arena.settings.min_votes)
    row = next((r for r in board.models if r.model == model), None)
    others = {m.b for m in contender.met} | set(row.variants if row else ())
    told = known(session, arena.catalog, [model, *others])
    moments = read_history(session, OVERALL, _SNAPSHOTS, model)
    itself = told[model]
    lines = _lines([(model, itself.name)], moments, arena.settings.min_votes)
    moved = any(len(one.points) > 1 for one in lines)
    return ModelPage(
        itself,
        contender,
        row,
        len(board.models),
        _record(contender),
        {m: told[m].name for m in others},
        _standings(contender, arena.settings.min_votes),
        _safe(pictures.history(lines, gettext("Ratings over time"), height=220)) if moved else None,
        [(m, {r.model: r.rating for r in m.models}) for m in _spread([m for m in moments if m.models])],
        [told[m] for m in (row.variants if row else ())],
    )


def _record(contender: Contender) -> Meetings:
    """All its meetings together."""
    sums = {name: sum(getattr(m, name) for m in contender.met) for name in ("wins_a", "wins_b", "ties", "both_bad")}
    return Meetings(contender.model, "", **sums)


def _standings(contender: Contender, min_votes: int) -> Markup | None:
    """Its rating on every board, on one axis."""
    if not contender.standings:
        return None
    rows = [
        Interval(category_name(board), r.lower, r.rating, r.upper, r.votes < min_votes)
        for board, r in sorted(contender.standings, key=lambda s: s[0] != OVERALL)
    ]
    return _safe(whiskers(rows, gettext("Rating on every board, with its interval")))


# ── words ────────────────────────────────────────────────────────────────────────────────────────────────────────


def category_name(category: str) -> str:
    """What people call a board."""
    if category.startswith("language_"):
        code = category.removeprefix("language_")
        name = current().locale.languages.get(code) if code != "und" else None
        return str(name[:1].upper() + name[1:]) if name else gettext("Other languages")
    known_names = {
        OVERALL: gettext("All votes"),
        "style_control": gettext("Style taken out"),
        "code": gettext("Code"),
        "math": gettext("Mathematics"),
        "long": gettext("Long prompts"),
        "multi_turn": gettext("Several turns"),
    }
    return known_names.get(category, category)


def reason_name(reason: str) -> str:
    """Why votes do not count, in words."""
    names = {
        "flagged": gettext("flagged by an operator"),
        "quarantined": gettext("from a session that was set apart"),
        "named_pair": gettext("on a pair that its asker chose by name"),
        "leak": gettext("an answer told who wrote it"),
        "duplicate": gettext("the same prompt judged again"),
        "burst": gettext("many at once from one place"),
        "ring": gettext("several sessions voting as one"),
        "too_fast": gettext("given faster than anybody reads"),
    }
    return names.get(reason, gettext("another reason: %(reason)s") % {"reason": reason.replace("_", " ")})


def votes_in_words(n: int) -> str:
    """``318 counted votes``."""
    return ngettext("%(num)s counted vote", "%(num)s counted votes", n) % {"num": number(n)}


def _safe(svg: str) -> Markup:
    """Of our own making, every word in it escaped (see web.ratings.svg)."""
    return Markup(svg)  # noqa: S704


WORDS = {
    "category_name": category_name,
    "reason_name": reason_name,
    "votes_in_words": votes_in_words,
    "interval_in_words": interval_in_words,
}
"""What templates may call."""
