"""Drawing a 64 KB answer in 4,000 pieces, layout included: ours against re-parsing the whole text at every piece.

Each has a page of its own, one after the other, so that neither pays for the other's garbage. Ours must come to the DOM
of a one-shot rendering, else there is no figure.
"""

from __future__ import annotations

from typing import Any

from ops.bench.drawing import OTHER, answer, page, pieces
from ops.bench.report import Row, paired


def add_arguments(parser: Any) -> None:
    parser.add_argument("--runs", type=int, default=1, help="paired runs, minutes each (default 1)")
    parser.add_argument("--kb", type=int, default=64, help="length of the answer (default 64)")
    parser.add_argument("--pieces", type=int, default=4000, help="pieces it comes in (default 4000)")


def run(args: Any) -> tuple[str, list[Row]]:
    totals: dict[str, list[float]] = {"ours": [], "other": []}
    worst: dict[str, list[float]] = {"ours": [], "other": []}
    for number in range(args.runs):
        cut = pieces(answer(args.kb * 1024, seed=number), args.pieces)
        for who in totals:
            with page() as opened:
                took = opened.evaluate("([who, pieces]) => drawing.total(who, pieces)", [who, cut])
            if not took["same"]:
                raise SystemExit("render: the streamed DOM is not that of a one-shot rendering")
            totals[who].append(took["sum"] / 1000)
            worst[who].append(took["worst"])
    return OTHER, [
        paired("total, layout included", "s", totals["ours"], totals["other"]),
        paired("worst piece", "ms", worst["ours"], worst["other"]),
    ]
