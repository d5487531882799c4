"""Rigging: votes to gain ranks with the defences off and on, by how many addresses, and what honest people lose.

The riggers of arXiv:2501.17858 and arXiv:2403.04132 on a simulated arena: they recognise their target in 95 of 100
battles in which it is and vote for it, from 1, 10 or 100 addresses (each a /24 of its own), while honest people go on
voting. ``target``: other battles are voted at random.
``silent``: other battles are not voted at all. ``fresh``: as ``target``, with a new session for every vote. ``cover``:
other battles are voted like honest people, and the target wins 4 of 5. ``rivals``: as ``target``, and who stands just
above the target loses. ``slow``: as ``target``, one rigged vote to nine honest ones.

``ours`` is with the defences (``web.arena.integrity.judgement``, as the records worker runs it), ``other`` without. The
board is looked at after every step; with the defences on an attack is given up after ``--patience`` times the votes it
takes without, and the row then says so much or more.
"""

from __future__ import annotations

import argparse

from ops.bench.attack.honest import honest_day
from ops.bench.attack.rig import KINDS, Attack, Outcome, campaign
from ops.bench.report import Row
from web.arena.integrity.rules import Rules

ADDRESSES = (1, 10, 100)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What may be asked of this bench."""
    parser.add_argument("--models", type=int, default=20, help="in the arena (%(default)s)")
    parser.add_argument("--votes", type=int, default=20_000, help="honest ones before the attack (%(default)s)")
    parser.add_argument("--ranks", type=int, default=5, help="to gain (%(default)s)")
    parser.add_argument("--runs", type=int, default=3, help="arenas per row (%(default)s)")
    parser.add_argument("--patience", type=float, default=12.0, help="times the votes it takes without (%(default)s)")
    parser.add_argument("--kinds", default=",".join(KINDS), help="of riggers (%(default)s)")


def run(args: argparse.Namespace) -> tuple[str, list[Row]]:
    """The name of the other, and the rows."""
    rows: list[Row] = []
    for kind in args.kinds.split(","):
        for addresses in ADDRESSES:
            attack = Attack(kind, addresses, ranks=args.ranks)
            found = [campaign(args.models, args.votes, attack, args.patience, seed) for seed in range(args.runs)]
            rows += rows_of(f"{kind}, {addresses} address{'es' * (addresses > 1)}", found)
    return "the same attack with no defences", rows + honest_rows(args.models, args.votes, args.runs)


def rows_of(name: str, found: list[Outcome]) -> list[Row]:
    """Of one kind of attack: what it costs, and what it takes from honest people."""
    on, off = _mean([f.votes_on for f in found]), _mean([f.votes_off for f in found])
    least = "" if all(f.gained for f in found) else ", at least"
    rows = [Row(f"{name}: votes to gain the ranks{least}", on, off, on / off, "votes", len(found))]
    lost, kept = _mean([f.honest_apart for f in found]), _mean([f.honest_votes_out for f in found])
    rows.append(Row(f"{name}: honest sessions set apart", 100 * lost, 0.0, 0.0, "%", len(found)))
    rows.append(Row(f"{name}: honest votes that do not count", 100 * kept, 0.0, 0.0, "%", len(found)))
    return rows


def honest_rows(models: int, votes: int, runs: int) -> list[Row]:
    """An arena that nobody attacks: what the defences do to it, against FastChat's test as it stands."""
    days = [honest_day(models, votes, Rules(), seed) for seed in range(runs)]
    ours, theirs = _mean([d.apart for d in days]), _mean([d.fastchat for d in days])
    ratio = ours / theirs if theirs else 0.0
    return [
        Row("nobody rigs: sessions set apart (other: FastChat's)", 100 * ours, 100 * theirs, ratio, "%", runs),
        Row(
            "nobody rigs: votes out for a ring or burst", 100 * _mean([d.votes_out for d in days]), 0.0, 0.0, "%", runs
        ),
    ]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
