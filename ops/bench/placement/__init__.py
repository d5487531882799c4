"""Which worker a battle goes to: the real placement on a simulated fleet of GPUs, against random and least loaded.

Models are asked for by Zipf's law, a battle's two one after the other; a GPU holds two engines and answers many battles
at once (gpu.py); loads, decode rates and answers have the figures in the head. Ours sees reports up to two seconds old
and several senders know nothing of each other; least loaded knows the truth. Throughput is of a fleet that always has
work for every GPU; waits are of the same arrivals for all, at a share of what random sustains. Other: the named rule.

With ``--crowd``, that share of all battles is from the end of the warm-up on of one pair that hardly anybody wanted
before: how long until the fleet ends nine tenths of what it did before again, and how long the crowd waits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from ops.bench.contention import quantile, workers
from ops.bench.placement.fleet import BIN_S, TOKENS, Outcome, Run, World
from ops.bench.placement.rules import PLACINGS, SENDERS
from ops.bench.report import Row, paired

OURS = "ours"
OTHERS = tuple(name for name in PLACINGS if name != OURS)
PER_GPU = 12
SHARE = 0.7


def add_arguments(parser: Any) -> None:
    world = World()
    parser.add_argument("--gpus", type=int, default=world.gpus, help="GPUs there are (default 1000)")
    parser.add_argument("--models", type=int, default=world.models, help="models there are (default 200)")
    parser.add_argument("--zipf", type=float, default=world.zipf, help="exponent of demand by rank (default 1)")
    parser.add_argument("--seconds", type=float, default=world.seconds, help="of each day; its first half is warm-up")
    parser.add_argument("--seeds", type=int, default=3, help="days of each kind (default 3)")
    parser.add_argument("--per-gpu", type=int, default=PER_GPU, help=f"battles for each GPU, always ({PER_GPU})")
    parser.add_argument("--share", type=float, default=SHARE, help=f"of random's throughput, for waits ({SHARE:g})")
    parser.add_argument("--report-s", type=float, default=world.report_s, help="a GPU reports as often (default 2)")
    parser.add_argument(
        "--loads-s", type=float, nargs=2, default=world.loads_s, help="of the smallest model and the largest (5 20)"
    )
    parser.add_argument("--crowd", type=float, default=0.0, help="share of battles that are suddenly of one pair (0)")


def run(args: Any) -> tuple[str, list[Row]]:
    """Rows for the report."""
    world = World(
        args.gpus,
        args.models,
        args.zipf,
        args.seconds,
        args.seconds / 2,
        report_s=args.report_s,
        loads_s=(args.loads_s[0], args.loads_s[1]),
        crowd=args.crowd,
    )
    with workers() as processes:
        rows = compared(world, args.seeds, args.per_gpu, args.share, each=processes.map)
    low, high = world.loads_s
    said = (
        f"as named; {world.gpus} GPUs, {world.models} models, demand 1/rank^{world.zipf:g}, 2 engines, 16 seats, "
        f"loads {low:g} to {high:g} s, answers of {TOKENS[0]:g} tokens (median) at 45/s alone and less in company; "
        f"reports every {world.report_s:g} s, {SENDERS} senders; throughput with {args.per_gpu} battles a GPU at "
        f"all times, waits at {args.share:g} of random's throughput"
    )
    return said, rows


def compared(
    world: World, seeds: int, per_gpu: int = PER_GPU, share: float = SHARE, *, each: Callable[..., Any] = map
) -> list[Row]:
    """Ours against each of the others: medians over the seeds. ``each``: a map, of a process pool perhaps."""
    days = [replace(world, seed=s) for s in range(seeds)]
    full = {name: list(each(partial(saturated, who=name, per_gpu=per_gpu), days)) for name in PLACINGS}
    rates = [share * per_second(world, outcome) for outcome in full["random"]]
    flowing = {name: list(each(partial(offered, who=name), days, rates)) for name in PLACINGS}
    rows = []
    for name in OTHERS:
        rows += _against(world, name, full, flowing)
    return rows


def saturated(world: World, who: str, per_gpu: int) -> Outcome:
    """A fleet in which so many battles a GPU wait or run at any time."""
    return Run(world, who, per_gpu=per_gpu).run()


def offered(world: World, rate: float, who: str) -> Outcome:
    """A fleet to which so many battles a second come."""
    return Run(world, who, rate=rate).run()


def per_second(world: World, outcome: Outcome) -> float:
    return outcome.ended / (world.seconds - world.warm_s)


def recovered_s(world: World, outcome: Outcome) -> float:
    """Seconds since the crowd came after which the fleet ended 0.9 of what it did before, and did so to the end."""
    came, end = int(world.warm_s / BIN_S), int(world.seconds / BIN_S)
    before = [outcome.ends[n] for n in range(came // 2, came)]
    enough = 0.9 * sum(before) / len(before)
    last = max((n for n in range(came, end) if outcome.ends[n] < enough), default=came - 1)
    return (last + 1 - came) * BIN_S


def _against(
    world: World, name: str, full: dict[str, list[Outcome]], flowing: dict[str, list[Outcome]]
) -> Sequence[Row]:
    def row(measure: str, unit: str, of: Callable[[Outcome], float], among: dict[str, list[Outcome]]) -> Row:
        return paired(f"{name}: {measure}", unit, [of(o) for o in among[OURS]], [of(o) for o in among[name]])

    rows = [
        row("throughput", "battles/GPU/min", lambda o: 60 * per_second(world, o) / world.gpus, full),
        row("loads, full", "a battle", lambda o: o.loads / max(o.ended, 1), full),
        row("P50 wait", "s", lambda o: max(quantile(o.waits, 0.5), 0.01), flowing),
        row("P95 wait", "s", lambda o: quantile(o.waits, 0.95), flowing),
    ]
    if world.crowd:
        rows += (
            row("crowd, full: recovered after", "s", lambda o: max(recovered_s(world, o), BIN_S), full),
            row("crowd: P95 wait", "s", lambda o: max(quantile(o.crowd_waits, 0.95), 0.01), flowing),
        )
    return rows
