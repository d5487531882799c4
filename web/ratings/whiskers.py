"""Ratings with their intervals, drawn: whiskers on an axis that all of them share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from web.ratings.svg import LABEL, PAD, ROW, WIDTH, cut, drawing, line, margin, marks, scale, tag, text, tooltip

Axis = tuple[float, float]
"""Least and greatest rating that have a place on it."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A model's rating between ``low`` and ``high``. ``faint``: preliminary or retired, drawn with dashes."""

    label: str
    low: float
    point: float
    high: float
    faint: bool = False


def whiskers(rows: Sequence[Interval], title: str = "Ratings with 95 % intervals", *, file: bool = False) -> str:
    """A row per model in the order given: a dot at its rating, a line over its interval, all on one axis.

    The axis is :func:`extent`; what runs off it ends in an arrow.
    """
    left = margin(row.label for row in rows)
    low, high = extent(rows)
    place = scale(low, high, left, WIDTH - 2 * PAD)
    bottom = PAD + ROW * len(rows)
    parts = [_mark_across(mark, place(mark), bottom) for mark in marks(low, high)]
    for n, row in enumerate(rows):
        parts.append(_whisker(row, (low, high), place, PAD + ROW * n + ROW / 2, left))
    return drawing(parts, WIDTH, bottom + ROW, "picture whiskers", title, file=file)


def extent(rows: Sequence[Interval]) -> tuple[float, float]:
    """The axis for ``rows``: that of the sure ones, lest one ``faint`` and far off leaves the others no room."""
    of = [row for row in rows if not row.faint] or rows
    return min((row.low for row in of), default=0.0), max((row.high for row in of), default=1.0)


def whisker(row: Interval, low: float, high: float, title: str, width: int = 200) -> str:
    """One interval alone, for a table's cell, on an axis from ``low`` to ``high`` that all the cells share.

    What runs off it ends in an arrow; the figures must stand beside it.
    """
    place = scale(low, high, PAD, width - PAD)
    middle = ROW / 2
    return drawing(
        [line(0, middle, width, middle, "grid", stroke_opacity=0.2), *_span(row, (low, high), place, middle)],
        width,
        ROW,
        "picture whisker",
        title,
    )


def _whisker(row: Interval, axis: Axis, place: Callable[[float], float], y: float, left: float) -> str:
    label = text(cut(row.label, LABEL), left - PAD, y + 4, "label", text_anchor="end")
    said = f"{row.label}: {row.point:.0f} ({row.low:.0f} to {row.high:.0f})"
    return tag("g", tooltip(said), label, *_span(row, axis, place, y), class_="row")


def _span(row: Interval, axis: Axis, place: Callable[[float], float], y: float) -> list[str]:
    """The line of an interval, with its ends and its dot; an arrow where it leaves the axis."""
    low, high = axis
    faint = "range faint" if row.faint else "range"
    begin, end = place(min(max(row.low, low), high)), place(max(min(row.high, high), low))
    parts = []
    if row.low <= high and row.high >= low:
        parts.append(line(begin, y, end, y, faint, stroke_width=2, stroke_dasharray="3 3" if row.faint else None))
    parts += [
        line(place(v), y - 4, place(v), y + 4, faint, stroke_width=2) for v in (row.low, row.high) if low <= v <= high
    ]
    parts += [_arrow(place(low), y, -1)] if row.low < low else []
    parts += [_arrow(place(high), y, 1)] if row.high > high else []
    if low <= row.point <= high:
        fill = "none" if row.faint else "currentColor"
        at = {"cx": place(row.point), "cy": y, "r": 5}
        parts.append(tag("circle", class_="point", stroke="currentColor", stroke_width=2, fill=fill, **at))
    return parts


def _arrow(x: float, y: float, way: int) -> str:
    """A head at the edge of the axis: it goes on that way."""
    points = f"{x + 7 * way:g},{y:g} {x - way:g},{y - 5:g} {x - way:g},{y + 5:g}"
    return tag("polygon", class_="off", points=points, fill="currentColor")


def _mark_across(mark: float, x: float, bottom: float) -> str:
    return line(x, PAD, x, bottom, "grid", stroke_opacity=0.2) + text(
        f"{mark:g}", x, bottom + 14, "mark", text_anchor="middle"
    )
