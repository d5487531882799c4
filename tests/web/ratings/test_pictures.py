from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pytest

from web.ratings.pictures import Cell, Line, heatmap, history
from web.ratings.svg import marks
from web.ratings.whiskers import Interval, whisker, whiskers

NAMES = ('Ada <one> & "two"', "Bo")
ROWS = [Interval(NAMES[0], 990, 1010, 1030), Interval(NAMES[1], 960, 990, 1020, faint=True)]
MET = {("x", "y"): Cell(0.625, 40), ("y", "x"): Cell(0.375, 40)}
BEGIN = datetime(2026, 5, 1, tzinfo=UTC)
PICTURES = {
    "whiskers": whiskers(ROWS),
    "file": whiskers(ROWS, file=True),
    "one": whisker(ROWS[0], 900, 1100, "between 990 & 1030"),
    "off the axis": whisker(Interval("Far", 200, 300, 400, faint=True), 900, 1100, "between 200 & 400"),
    "far": whiskers([*ROWS, Interval("Far", 200, 300, 400, faint=True)]),
    "none": whiskers([]),
    "heatmap": heatmap([("x", NAMES[0]), ("y", NAMES[1])], MET),
    "counts": heatmap([("x", NAMES[0]), ("y", NAMES[1])], MET, counts=True),
    "history": history([Line(n, [(BEGIN + timedelta(days=d), 1000 + d) for d in range(5)]) for n in NAMES]),
    "moment": history([Line("Ada", [(BEGIN, 1000.0)])]),
    "nothing": history([]),
}


@pytest.mark.parametrize("svg", PICTURES.values(), ids=PICTURES.keys())
def test_a_picture_is_well_formed_and_fit_for_a_strict_page(svg: str) -> None:
    root = ElementTree.fromstring(svg)
    assert root.get("role") == "img"
    assert root.get("aria-label")
    width, height = (float(root.get(n, 0)) for n in ("width", "height"))
    for element in root.iter():
        assert element.get("style") is None
        assert not element.tag.endswith(("script", "style"))
        for name, limit in (("x", width), ("cx", width), ("x1", width), ("x2", width), ("y", height), ("cy", height)):
            assert 0 <= float(element.get(name, 0)) <= limit


def drawn(svg: str, class_: str) -> list[ElementTree.Element]:
    return [e for e in ElementTree.fromstring(svg).iter() if e.get("class", "").split(" ")[0] == class_]


def test_one_that_is_far_off_and_unsure_moves_nobody_elses_axis() -> None:
    far = Interval("Far", 200, 300, 400, faint=True)
    assert [e.get("cx") for e in drawn(whiskers([*ROWS, far]), "point")] == [
        e.get("cx") for e in drawn(whiskers(ROWS), "point")
    ]
    assert len(drawn(whiskers([far]), "point")) == 1, "alone it has the axis"


@pytest.mark.parametrize(
    ("interval", "arrows", "points", "ends"),
    [
        ((950, 1000, 1050), 0, 1, 2),
        ((800, 1000, 1050), 1, 1, 1),
        ((800, 1000, 1200), 2, 1, 0),
        ((200, 300, 400), 1, 0, 0),
    ],
)
def test_what_runs_off_the_axis_ends_in_an_arrow_and_not_in_a_lie(
    interval: tuple[float, float, float], arrows: int, points: int, ends: int
) -> None:
    svg = whisker(Interval("Far", *interval), 900, 1100, "in words")
    assert (len(drawn(svg, "off")), len(drawn(svg, "point"))) == (arrows, points)
    assert len([e for e in drawn(svg, "range") if e.get("x1") == e.get("x2")]) == ends


def test_shades_are_the_texts_own_colour_and_numbers_stand_in_cells() -> None:
    root = ElementTree.fromstring(PICTURES["heatmap"])
    cells = [e for e in root.iter() if e.tag.endswith("rect")]
    assert {c.get("fill") for c in cells} == {"currentColor"}
    assert max(float(c.get("fill-opacity", 1)) for c in cells) < 0.5, "a number on it can be read"
    said = [e.text for e in root.iter() if e.get("class") == "number"]
    assert said == ["62", "38"]
    assert 'Bo against Ada <one> & "two": 38 % of 40' in [e.text for e in root.iter() if e.tag.endswith("title")]


def test_lines_differ_by_more_than_colour_and_labels_do_not_meet() -> None:
    lines = [Line(f"model {n}", [(BEGIN, 1000.0), (BEGIN + timedelta(days=1), 1000.0)]) for n in range(6)]
    root = ElementTree.fromstring(history(lines))
    assert len({e.get("stroke-dasharray") for e in root.iter() if e.tag.endswith("polyline")}) == 6
    places = sorted(float(e.get("y", 0)) for e in root.iter() if e.get("class") == "label")
    assert min(b - a for a, b in itertools.pairwise(places)) >= 12


def test_marks_are_round_and_within() -> None:
    assert marks(987.3, 1042.8) == [990, 1000, 1010, 1020, 1030, 1040]
    assert marks(5, 5) == [5]
    assert all(0 <= m <= 3500 for m in marks(0, 3500))
