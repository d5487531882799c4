"""Three engines, room for two: the pool's plan against the usual ways, on a virtual clock or (--real) on this machine.

Battles arrive at random (Poisson), each for one of the three pairs (uniform). Simulated, all contenders get the same
battles and pay the same fixed costs, which are printed; ours decides with the real ``worker.pool.plan.plan`` under the
pool's default rules.

Utilisation is the share of its seats that the pair in memory would need if no engine ever moved: arrivals per second
times the mean answer, over the seats of an engine. Switching is not in it. So nobody can keep up at 1.0, and at 0.8
whoever loses more than a fifth of the time to switching falls behind for as long as battles come.

LRU and FIFO serve strictly first-in first-out; LRU evicts the engine that has rested longest, FIFO the one loaded
first, neither one that the next battle needs. Of three engines with two in memory that leaves one to choose, so the
two do the same here (``--models 5 --fit 3`` tells them apart). Overtaking is LRU where battles for the engines in
memory pass those that wait for others. None of the three turns anybody away; ours does when its bound on waiting
cannot be kept. Waits are from arrival to the start of generation, of the battles that were served.
"""

from __future__ import annotations

import math
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from ops.bench.baselines import Decide, loaded_first, sharing, used_last
from ops.bench.report import Row, paired
from ops.bench.simulation import Outcome, World, arrivals, simulate
from worker.memory import NO_LIMIT
from worker.pool.plan import plan
from worker.pool.states import Plan, PoolState, Waiter

UTILISATIONS = (0.5, 0.8, 1.0)
OTHERS: dict[str, Decide] = {
    "LRU": sharing(used_last),
    "FIFO": sharing(loaded_first),
    "overtaking": sharing(used_last, overtaking=True),
}
OURS = "ours"


def add_arguments(parser: Any) -> None:
    world = World()
    parser.add_argument("--battles", type=int, help="battles per run (default 600; with --real 40)")
    parser.add_argument("--seeds", type=int, default=20, help="runs per utilisation (default 20)")
    parser.add_argument("--utilisation", type=float, nargs="+", default=UTILISATIONS, help="default 0.5 0.8 1.0")
    parser.add_argument("--models", type=int, default=world.models, help="engines there are (default 3)")
    parser.add_argument("--fit", type=int, default=world.fit, help="engines in memory at once (default 2)")
    parser.add_argument("--seats", type=int, default=world.seats, help=f"answers at once ({world.seats})")
    parser.add_argument("--load-s", type=float, default=world.load_s, help=f"seconds of a load ({world.load_s:g})")
    parser.add_argument("--unload-s", type=float, default=world.unload_s, help=f"of an unload ({world.unload_s:g})")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="also draw P95 waits over utilisation")
    parser.add_argument("--real", action="store_true", help="real engines on this machine instead of a simulation")
    parser.add_argument("--rate", type=float, default=1.0, help="with --real: battles per second (default 1)")
    parser.add_argument("--tokens", type=int, default=48, help="with --real: tokens per side at most (default 48)")
    parser.add_argument("--catalog", default="ops/catalogs/cpu.toml", help="with --real: its first three models")


def run(args: Any) -> tuple[str, list[Row]]:
    """Rows for the report; raises AssertionError when a contender breaks the rules of the world."""
    if args.real:
        from ops.bench.contention_real import measured

        return measured(args.catalog, args.battles or 40, args.rate, args.tokens)
    world = World(args.models, args.fit, args.seats, load_s=args.load_s, unload_s=args.unload_s)
    battles = args.battles or 600
    rows: list[Row] = []
    with workers() as processes:
        for utilisation in args.utilisation:
            found = partial(outcomes, world, battles, args.seeds, utilisation, each=processes.map)
            ours = found(OURS)
            for name in OTHERS:
                rows += compared(f"{utilisation:g} against {name}", ours, found(name))
            rows += kept(f"{utilisation:g}", ours, battles)
        if args.plot:
            from ops.bench.chart import drawn

            args.plot.write_text(drawn(world, battles, partial(outcomes, each=processes.map)))
    return described(world, battles), rows


def outcomes(
    world: World, battles: int, seeds: int, utilisation: float, name: str, *, each: Callable[..., Any] = map
) -> list[Outcome]:
    """One per seed. ``name``: ours, or one of ``OTHERS``. ``each``: a map, of a process pool perhaps."""
    return list(each(partial(_outcome, world, battles, utilisation, name), range(seeds)))


def _outcome(world: World, battles: int, utilisation: float, name: str, seed: int) -> Outcome:
    return simulate(world, arrivals(world, battles, utilisation, seed), contender(world, name))


def contender(world: World, name: str) -> Decide:
    """What decides for ``name``: the real plan for ours, or one of ``OTHERS``."""

    def ours(state: PoolState, waiting: Sequence[Waiter], now: float) -> Plan:
        return plan(state, waiting, NO_LIMIT, now, world.rules)

    return ours if name == OURS else OTHERS[name]


def workers() -> ProcessPoolExecutor:
    """One process per core, none of them forked from a process that may have threads."""
    return ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn"))


def quantile(waits: Sequence[float], share: float) -> float:
    """The wait that ``share`` of the battles did not exceed."""
    return sorted(waits)[max(math.ceil(share * len(waits)) - 1, 0)]


MEASURES: dict[str, tuple[str, Callable[[Outcome], float]]] = {
    "switches": ("loads", lambda o: float(o.loads)),
    "P50 wait": ("s", lambda o: quantile(o.waits, 0.5)),
    "P95 wait": ("s", lambda o: quantile(o.waits, 0.95)),
    "longest wait": ("s", lambda o: max(o.waits)),
    "throughput": ("battles/s", lambda o: o.per_second),
}


def compared(name: str, ours: Sequence[Outcome], other: Sequence[Outcome]) -> list[Row]:
    """Medians over the seeds."""
    return [
        paired(f"{name}: {measure}", unit, [of(o) for o in ours], [of(o) for o in other])
        for measure, (unit, of) in MEASURES.items()
    ]


def kept(name: str, ours: Sequence[Outcome], battles: int) -> list[Row]:
    """What ours promises, over all seeds together: the worst wait beside its bound; who was refused or cut short."""
    worst, bound = max(max(o.waits) for o in ours), ours[0].bound_s
    everybody = len(ours) * battles
    rows = [Row(f"{name} worst wait of all; other: bound", worst, bound, worst / bound, "s", len(ours))]
    for what, count in (("refused", sum(o.refused for o in ours)), ("cut short", sum(o.cut for o in ours))):
        rows.append(Row(f"{name} {what}; other: all", count, everybody, count / everybody, "battles", len(ours)))
    return rows


def described(world: World, battles: int) -> str:
    """The others and the costs that all pay, for the report's head."""
    least, most = world.answer_s
    rules = world.rules
    return (
        f"LRU and FIFO, served first-in first-out, and LRU with overtaking; {battles} battles, {world.models} engines, "
        f"{world.fit} fit; fixed costs: {world.seats} seats an engine, an answer {least:g} to {most:g} s (uniform), a "
        f"load {world.load_s:g} s, an unload {world.unload_s:g} s; utilisation 1 = {world.full_rate:.2f} battles/s; "
        f"ours: max wait {rules.max_wait_s:g} s, drain limit {rules.drain_limit_s:g} s, queue bound {rules.queue_bound}"
    )
