"""The board in pictures: ratings with their intervals, who beats whom, who met whom, how it came to this.

Plain functions from numbers to SVG text; the page and the files show the same. Nothing is told by colour: shades are
degrees of the text's own colour (``currentColor``), numbers stand in cells, lines differ by dashes, marks and labels,
so that a print in grey, a dark page and a reader who sees no colour lose nothing. Classes are there for style sheets.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from web.ratings.svg import (
    CHARACTER,
    LABEL,
    PAD,
    ROW,
    WIDTH,
    cut,
    drawing,
    line,
    margin,
    marks,
    scale,
    tag,
    text,
    tooltip,
)

CELL = 44
_LEAD = 22
"""From a line's end to its label, which may have to make room for another."""
_DASHES = (None, "6 3", "2 3", "9 3 2 3", "12 4", "4 2 1 2")


@dataclass(frozen=True, slots=True)
class Cell:
    """``games`` of which the row's model won the share ``rate``, ties half."""

    rate: float
    games: int


@dataclass(frozen=True, slots=True)
class Line:
    """One model's ratings, oldest first."""

    label: str
    points: Sequence[tuple[datetime, float]]


Met = Mapping[tuple[str, str], Cell]
"""By row's and column's key; a pair that never met may be missing."""


def heatmap(
    models: Sequence[tuple[str, str]],
    met: Met,
    title: str = "Share of battles won by the row against the column",
    tip: str = "{row} against {column}: {rate} % of {games}",
    *,
    counts: bool = False,
    file: bool = False,
) -> str:
    """Every pair of ``models`` (key and label, in the order they shall stand): the row's share against the column.

    The darker, the more the row wins; a pair that never met is empty. ``counts``: how many battles instead, the darker
    the more. ``tip`` is what a cell says when pointed at.
    """
    left = margin(label for _, label in models)
    size = CELL * len(models)
    most = max((cell.games for cell in met.values()), default=0) or 1
    parts: list[str] = []
    for i, (row, row_label) in enumerate(models):
        y = left + CELL * i
        parts.append(text(cut(row_label, LABEL), left - PAD, y + CELL / 2 + 4, "label", text_anchor="end"))
        x = left + CELL * i + CELL / 2 + 4
        turned = f"rotate(-90 {x:g} {left - PAD})"
        parts.append(text(cut(row_label, LABEL), x, left - PAD, "label", transform=turned))
        for j, (column, column_label) in enumerate(models):
            cell = met.get((row, column))
            if row == column or cell is None or not cell.games:
                said, dark = "", 0.0
            elif counts:
                said, dark = _short(cell.games), cell.games / most
            else:
                said, dark = f"{100 * cell.rate:.0f}", cell.rate
            about = ""
            if cell is not None and said:
                about = tip.format(row=row_label, column=column_label, rate=f"{100 * cell.rate:.0f}", games=cell.games)
            parts.append(_cell(left + CELL * j, y, said, dark, about))
    return drawing(parts, left + size + PAD, left + size + PAD, "picture heatmap", title, file=file)


def history(lines: Sequence[Line], title: str = "Ratings over time", height: int = 320, *, file: bool = False) -> str:
    """A line per model, told apart by its dashes and by its label where it ends."""
    right = WIDTH - margin(one.label for one in lines) - _LEAD
    values = [value for one in lines for _, value in one.points]
    moments = [at for one in lines for at, _ in one.points]
    low, high = min(values, default=0.0), max(values, default=1.0)
    across = _timescale(moments, _margin_of_axis(high), right)
    up = scale(low, high, height - ROW - PAD, PAD + 6)
    parts = [
        part
        for mark in marks(low, high)
        for part in (
            line(_margin_of_axis(high), up(mark), right, up(mark), "grid", stroke_opacity=0.2),
            text(f"{mark:g}", _margin_of_axis(high) - 4, up(mark) + 4, "mark", text_anchor="end"),
        )
    ]
    if moments:
        ends = {min(moments): "start", max(moments): "end"}
        parts += [
            text(f"{at:%Y-%m-%d}", across(at), height - 4, "mark", text_anchor=anchor) for at, anchor in ends.items()
        ]
    labels = _apart([(up(one.points[-1][1]) if one.points else 0.0) for one in lines], ROW / 1.5, height)
    for n, (one, label_y) in enumerate(zip(lines, labels, strict=True)):
        if one.points:
            parts.append(_path(one, n, across, up, label_y, right))
    return drawing(parts, WIDTH, height, "picture history", title, file=file)


def _cell(x: float, y: float, said: str, dark: float, about: str) -> str:
    """Shades go up to 0.45, on which the number can be read in the same colour."""
    square = tag(
        "rect", class_="cell" if said else "cell empty", x=x, y=y, width=CELL, height=CELL, fill="currentColor",
        fill_opacity=round(0.45 * dark, 3), stroke="currentColor", stroke_opacity=0.2,
    )  # fmt: skip
    if not said:
        return square
    number = text(said, x + CELL / 2, y + CELL / 2 + 4, "number", text_anchor="middle")
    return tag("g", tooltip(about), square, number)


def _path(
    one: Line, n: int, across: Callable[[datetime], float], up: Callable[[float], float], label_y: float, right: float
) -> str:
    at = " ".join(f"{across(moment):.1f},{up(value):.1f}" for moment, value in one.points)
    last_at, last = one.points[-1]
    return tag(
        "g",
        tooltip(one.label),
        tag(
            "polyline", class_=f"line line-{n % len(_DASHES)}", points=at, fill="none", stroke="currentColor",
            stroke_width=2 if n < len(_DASHES) else 1, stroke_dasharray=_DASHES[n % len(_DASHES)],
        ),
        tag("circle", class_="point", cx=across(last_at), cy=up(last), r=3, fill="currentColor"),
        line(across(last_at), up(last), right + _LEAD - 3, label_y, "leader", stroke_opacity=0.5),
        text(cut(one.label, LABEL), right + _LEAD, label_y + 4, "label"),
    )  # fmt: skip


def _timescale(moments: Sequence[datetime], begin: float, end: float) -> Callable[[datetime], float]:
    seconds = [at.timestamp() for at in moments]
    place = scale(min(seconds, default=0.0), max(seconds, default=0.0), begin, end)
    return lambda at: place(at.timestamp())


def _apart(places: Sequence[float], least: float, height: float) -> list[float]:
    """Places of labels moved down until each is ``least`` below the one above, and up again from the lower edge."""
    order = sorted(range(len(places)), key=lambda n: places[n])
    found = list(places)
    for above, below in itertools.pairwise(order):
        found[below] = max(found[below], found[above] + least)
    room = height - least
    for n in reversed(order):
        found[n] = min(found[n], room)
        room = found[n] - least
    return found


def _margin_of_axis(high: float) -> float:
    return PAD + CHARACTER * len(f"{high:.0f}")


def _short(games: int) -> str:
    if games < 10_000:
        return str(games)
    return f"{games / 1000:.0f}k" if games < 1_000_000 else f"{games / 1e6:.1f}M"
