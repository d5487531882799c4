"""Battles while everything is killed with SIGKILL and brought back, deployed, cut off, or its database locked.

Visitors drop their lines at random and resume. Stand-in engines say the same words to the same prompt, so every text
that a visitor ends up with, and every text in the database, is compared with what the engine said.
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import Any

from ops.bench.chaos.faults import FAULTS
from ops.bench.chaos.rounds import Outcome, play
from ops.bench.chaos.stack import running
from ops.bench.report import Row, machine
from ops.setup.postgres import private_server

OTHER = "what must be: nothing lost, stuck or said twice"
COUNTS = ("lost", "stuck", "tokens_lost", "tokens_repeated", "votes_lost")


def add_arguments(parser: Any) -> None:
    parser.add_argument("--battles", type=int, default=200, help="battles of all rounds together (default 200)")
    parser.add_argument("--at-once", type=int, default=12, help="visitors at a time (default 12)")
    parser.add_argument("--postgres", action="store_true", help="on PostgreSQL; its fault is a kill, not a lock")
    parser.add_argument("--faults", default=",".join(FAULTS), help="which, and in which order (default: all)")


def run(args: Any) -> tuple[str, list[Row]]:
    """One round per fault on one arena."""
    wanted = args.faults.split(",")
    if unknown := set(wanted) - set(FAULTS):
        raise SystemExit(f"there is no fault {min(unknown)!r}; there are {', '.join(FAULTS)}")
    share = -(-args.battles // len(wanted))
    rows: list[Row] = []
    with contextlib.ExitStack() as stack:
        postgres = stack.enter_context(private_server()) if args.postgres else None
        if args.postgres and postgres is None:
            raise SystemExit("PostgreSQL is not installed here: sudo apt-get install postgresql")
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="arena-chaos-"))
        arena = stack.enter_context(running(Path(folder), postgres))
        for n, fault in enumerate(wanted):
            battles = max(share, 5 * args.at_once) if fault == "engine" else share  # engines die by themselves, of use
            outcome = play(arena, fault, battles, args.at_once, first=n * 1000)
            rows += _rows(outcome)
            for breach in outcome.breaches:
                print(f"{fault}: {breach}")
    return OTHER, rows


def _rows(outcome: Outcome) -> list[Row]:
    battles = len(outcome.visits)
    facts = {
        "faults": outcome.faults,
        "battles": battles,
        **{count: getattr(outcome, count) for count in COUNTS},
        "recovery_p95_s": outcome.recovery_p95_s,
    }
    return [Row(f"{outcome.fault}: {name}", float(value), 0.0, 0.0, "", battles) for name, value in facts.items()]


def show(rows: list[Row]) -> str:
    """The table for people: a line per fault."""
    table: dict[str, dict[str, float]] = {}
    for row in rows:
        fault, name = row.measure.split(": ")
        table.setdefault(fault, {})[name] = row.ours
    names = ("faults", "battles", *COUNTS, "recovery_p95_s")
    lines = [f"chaos on {machine()}", "", f"{'fault':<13}" + "".join(f"{n.replace('_', ' '):>17}" for n in names)]
    for fault, facts in table.items():
        counts = "".join(f"{facts[n]:>17.0f}" for n in names[:-1])
        lines.append(f"{fault:<13}{counts}{facts['recovery_p95_s']:>17.2f}")
    return "\n".join(lines)
