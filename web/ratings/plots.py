"""The pictures of one board as files: SVG by :mod:`web.ratings.pictures`, PNG of the very same drawings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from web.ratings.method import Columns, Method, board, tallied
from web.ratings.pictures import Cell, Line, heatmap, history
from web.ratings.whiskers import Interval, whiskers

if TYPE_CHECKING:
    from web.arena.board import Moment

MOMENTS = 200
MODELS = 60
"""Most models of a heat map, the best; more cannot be read."""
LINES = 12
"""Most models of a history, the best."""
_ZOOM = 2.0
_WORD = '<svg xmlns="http://www.w3.org/2000/svg" width="60" height="20">{}</svg>'


class CannotDraw(Exception):  # noqa: N818
    """The message is one line and says what to do."""


def drawn(
    votes: Columns, method: Method, names: Mapping[str, str] | None = None, moments: Sequence[Moment] = ()
) -> dict[str, str]:
    """SVG by the name of its file: ``ratings``, ``wins``, ``counts``, and ``history`` where there are ``moments``."""
    rows, called = board(votes, method), dict(names or {})
    label = {row.model: called.get(row.model, row.model) for row in rows}
    shown = [(row.model, label[row.model]) for row in rows[:MODELS]]
    met = _met(votes, method)
    found = {
        "ratings": whiskers([Interval(label[r.model], r.lower, r.rating, r.upper) for r in rows], file=True),
        "wins": heatmap(shown, met, file=True),
        "counts": heatmap(shown, met, "Battles of each pair", counts=True, file=True),
    }
    if moments:
        best = [row.model for row in moments[-1].models[:LINES]]
        lines = [
            Line(label.get(m, m), [(at.at, r.rating) for at in moments for r in at.models if r.model == m])
            for m in best
        ]
        found["history"] = history(lines, file=True)
    return found


def write(folder: Path, drawings: Mapping[str, str], shapes: Iterable[str]) -> Iterator[Path]:
    """Each drawing in each of ``shapes`` (``svg``, ``png``). Raises CannotDraw, before anything is written."""
    wanted = list(shapes)
    files: list[tuple[Path, bytes]] = []
    for shape in wanted:
        for name, svg in drawings.items():
            files.append((folder / f"{name}.{shape}", png(svg) if shape == "png" else svg.encode()))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, content in files:
            file.write_bytes(content)
            yield file
    except OSError as error:
        raise CannotDraw(f"{error.filename or folder}: {error.strerror}") from None


def png(svg: str) -> bytes:
    """The drawing in pixels, twice its size. Raises CannotDraw without the package for it, or without any font."""
    try:
        from resvg_py import svg_to_bytes
    except ImportError:
        raise CannotDraw("PNG needs a package that is not here: pip install 'llm-arena[plots]'") from None

    def drawn_of(inside: str) -> bytes:
        return bytes(svg_to_bytes(svg_string=_WORD.format(inside)))

    family = svg.partition('font-family="')[2].partition('"')[0]
    if drawn_of(f'<text y="15" font-family="{family}">Ag</text>') == drawn_of(""):
        raise CannotDraw("no font that the pictures are written in is here: apt-get install fonts-dejavu-core")
    return bytes(svg_to_bytes(svg_string=svg, zoom=_ZOOM))


def _met(votes: Columns, method: Method) -> dict[tuple[str, str], Cell]:
    tally = tallied(votes, method)
    games, points = tally.matrix(tally.games), tally.matrix(tally.games * tally.score)
    games, points = games + games.T, points + (games - points).T
    return {
        (tally.models[i], tally.models[j]): Cell(float(points[i, j] / games[i, j]), round(float(games[i, j])))
        for i, j in np.argwhere(games > 0).tolist()
    }
