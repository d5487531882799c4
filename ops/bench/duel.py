"""Two panes that show 16 KB each and grow by 100 tokens a second: ours against re-parsing the whole text every frame.

Busy is the share of time the page's main thread worked, as Chromium itself counts it; lag is how late the event loop
came to what was due, the 95th of 100.
"""

from __future__ import annotations

from typing import Any

from ops.bench.drawing import OTHER, answer, page, pieces
from ops.bench.report import Row, paired

TOKEN_CHARS = 4
MEASURES = (
    ("busy", "main thread busy", "%"),
    ("lag", "event-loop lag p95", "ms"),
    ("worst", "event-loop lag, worst", "ms"),
)


def add_arguments(parser: Any) -> None:
    parser.add_argument("--runs", type=int, default=3, help="paired runs (default 3)")
    parser.add_argument("--seconds", type=int, default=15, help="of streaming, per run and way (default 15)")
    parser.add_argument("--rate", type=int, default=100, help="tokens a second and pane (default 100)")
    parser.add_argument("--kb", type=int, default=16, help="shown before the watch begins (default 16)")


def run(args: Any) -> tuple[str, list[Row]]:
    seen: dict[str, list[dict[str, float]]] = {"ours": [], "other": []}
    for number in range(args.runs):
        for who in list(seen) if number % 2 else reversed(seen):
            seen[who].append(_watch(who, args, seed=number))
    rows = []
    for key, measure, unit in MEASURES:
        ours, other = ([max(run[key], 0.1) for run in seen[who]] for who in ("ours", "other"))
        rows.append(paired(measure, unit, ours, other))
    fps = ([run["fps"] for run in seen[who]] for who in ("ours", "other"))
    return OTHER, [*rows, paired("drawings", "a second", *fps)]


def _watch(who: str, args: Any, seed: int) -> dict[str, float]:
    tokens = args.seconds * args.rate
    text = answer(args.kb * 1024 + tokens * TOKEN_CHARS, seed)
    before, rest = text[: args.kb * 1024], text[args.kb * 1024 :]
    with page() as opened:
        session = opened.context.new_cdp_session(opened)
        session.send("Performance.enable")
        contest = opened.evaluate_handle("([who, before]) => drawing.prepare(who, before)", [who, before])
        start = _metrics(session)
        found = opened.evaluate(
            "([contest, tokens, rate]) => drawing.duel(contest, tokens, rate)",
            [contest, pieces(rest, tokens), args.rate],
        )
        end = _metrics(session)
    busy = (end["TaskDuration"] - start["TaskDuration"]) / (end["Timestamp"] - start["Timestamp"])
    return {**found, "busy": 100 * busy}


def _metrics(session: Any) -> dict[str, float]:
    return {m["name"]: m["value"] for m in session.send("Performance.getMetrics")["metrics"]}
