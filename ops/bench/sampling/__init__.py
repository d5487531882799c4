"""Which pairs meet: every sampling policy against uniform draws, in arenas whose true strengths are known.

Days of the arena on a virtual clock, with the pool's real plan and the contention bench's costs: engines loaded per
battle served, waits, who is turned away; votes and hours until the leaderboard's intervals are narrow and its order is
right. Then many quick arenas whose tastes go round in circles (no ranking is true of them): how far each policy's
ratings are from those of uniform draws, on average and from one arena to the next, by how votes are weighed
(web.ratings.weights). Other: uniform draws, unweighted, in the same arenas.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product
from statistics import mean
from typing import Any

import numpy as np

from ops.bench.contention import quantile, workers
from ops.bench.report import Row, paired
from ops.bench.sampling.arena import Met, day, quick
from ops.bench.sampling.truth import Battles, Floats, Truth, fitted, width
from ops.bench.simulation import World
from web.arena.sampling import Active, Policy, ResidencyAware, Uniform
from web.ratings.weights import Weighting
from web.settings.sampling import SamplingSettings

NARROW = 30.0
"""Points: intervals of this half width on average are what a board is waited for here."""
APART = 50.0
"""Points: models truly this far apart must not stand the wrong way round."""
CIRCLE = 150.0
"""Points: how much better than its rating a model is against some and worse against others."""
EVERY = 50
WEIGHTINGS: tuple[Weighting, ...] = ("none", "propensity", "realised")
_DEFAULTS = SamplingSettings.model_fields


def policies() -> dict[str, Policy]:
    """By name; ``residency`` with the settings' defaults."""
    floor, stay = _DEFAULTS["sampling_floor"].default, _DEFAULTS["sampling_stay"].default
    return {
        "uniform": Uniform(),
        "active": Active(floor),
        "residency": ResidencyAware(Uniform(), floor, stay),
        "residency, no rounds": ResidencyAware(Uniform(), 5 * floor, 0),
    }


def add_arguments(parser: Any) -> None:
    parser.add_argument("--models", type=int, nargs="+", default=[6], help="models there are (default 6)")
    parser.add_argument("--battles", type=int, default=1500, help="battles of a day (default 1500)")
    parser.add_argument("--seeds", type=int, default=3, help="days of each kind (default 3)")
    parser.add_argument("--utilisation", type=float, nargs="+", default=[0.05, 0.2, 0.5], help="default 0.05 0.2 0.5")
    parser.add_argument(
        "--askers", type=int, default=20, help="people who ask by turns where anybody does (default 20)"
    )
    parser.add_argument("--runs", type=int, default=100, help="quick arenas of each kind (default 100)")
    parser.add_argument("--votes", type=int, default=1200, help="votes in each of them (default 1200)")


def run(args: Any) -> tuple[str, list[Row]]:
    """Rows for the report."""
    rows: list[Row] = []
    with workers() as processes:
        for models, utilisation in product(args.models, args.utilisation):
            of_days = partial(days, models, utilisation, args.battles, args.seeds, each=processes.map)
            rows += compared_days(f"{models} models, {utilisation:g}", models, of_days, args.askers)
        rows += leanings(args.runs, args.votes, each=processes.map)
    world = World()
    said = (
        f"uniform draws; {world.fit} engines fit; a load {world.load_s:g} s, an unload {world.unload_s:g} s, answers "
        f"{world.answer_s[0]:g} to {world.answer_s[1]:g} s; narrow: half widths of {NARROW:g} points on average; "
        f"order: of models more than {APART:g} points apart; {args.battles} battles a day"
    )
    return said, rows


# ── days ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def days(
    models: int,
    utilisation: float,
    battles: int,
    seeds: int,
    name: str,
    askers: int = 0,
    *,
    each: Callable[..., Any] = map,
) -> list[Met]:
    """One per seed; the same seed is the same arrivals, answers and true strengths whatever the policy."""
    return list(each(partial(_day, models, utilisation, battles, name, askers), range(seeds)))


def _day(models: int, utilisation: float, battles: int, name: str, askers: int, seed: int) -> Met:
    truth = Truth.transitive(models, seed)
    return day(World(models=models), battles, utilisation, truth, policies()[name], seed, askers)


def compared_days(label: str, models: int, find: Callable[..., list[Met]], askers: int) -> Iterator[Row]:
    """Every policy beside uniform; a goal that somebody did not reach within the day has no row."""
    uniform = find("uniform")
    others = {name: find(name) for name in policies() if name != "uniform"}
    others[f"residency, {askers} people"] = find("residency", askers)
    for name, found in others.items():
        for measure, unit, of in (
            ("loads", "loads/battle", lambda m: m.per_battle),
            ("P95 wait", "s", lambda m: max(quantile(m.waits, 0.95), 0.1)),
            ("served", "of all", lambda m: len(m.battles) / m.offered),
        ):
            yield paired(f"{label} {name}: {measure}", unit, [of(m) for m in found], [of(m) for m in uniform])
        for goal, measure in ((narrow, "narrow"), (right, "order")):
            yield from _reached(f"{label} {name}: {measure} after", goal, models, found, uniform)


def _reached(
    label: str, goal: Callable[[Truth, Met], int | None], models: int, ours: Sequence[Met], other: Sequence[Met]
) -> Iterator[Row]:
    votes = [[goal(Truth.transitive(models, s), m) or 0 for s, m in enumerate(mets)] for mets in (ours, other)]
    if all(min(v) for v in votes):
        yield paired(label, "votes", *votes)
        pairs = zip(votes, (ours, other), strict=True)
        yield paired(label, "h", *([m.at[n - 1] / 3600 for n, m in zip(v, mets, strict=True)] for v, mets in pairs))


def narrow(truth: Truth, met: Met) -> int | None:
    """Votes until the intervals are narrow."""
    return next((n for n, found in _boards(truth, met) if width(found) <= NARROW), None)


def right(truth: Truth, met: Met) -> int | None:
    """Votes until the order is right and stays so."""
    seen = [(n, truth.in_order(found.ratings, APART)) for n, found in _boards(truth, met)]
    wrong = [n for n, good in seen if not good]
    after = max(wrong, default=0) + EVERY
    return after if seen and after <= seen[-1][0] else None


def _boards(truth: Truth, met: Met) -> Iterator[tuple[int, Any]]:
    battles = Battles.of(truth, met.battles)
    for votes in range(EVERY, len(met.battles) + 1, EVERY):
        yield votes, fitted(truth, battles.first(votes), "none")


# ── tastes that go round in circles ──────────────────────────────────────────────────────────────────────────────

ARENAS: dict[str, tuple[str, dict[str, Any]]] = {
    "active": ("active", {}),
    "residency": ("residency", {}),
    "residency, a pin": ("residency", {"capacity": 3, "pinned": ("a",)}),
    "no rounds, a pin": ("residency, no rounds", {"capacity": 3, "pinned": ("a",)}),
}


def ratings(name: str, arena: dict[str, Any], votes: int, seed: int) -> dict[str, tuple[Floats, float]]:
    """By weighting: ratings and mean half width of one quick arena of six models with circular tastes."""
    truth = Truth.cyclic(6, CIRCLE, seed=1)
    battles = Battles.of(truth, quick(truth, policies()[name], votes, seed, **arena).battles)
    found = {w: fitted(truth, battles, w) for w in WEIGHTINGS}
    return {w: (f.ratings, width(f)) for w, f in found.items()}


def leanings(runs: int, votes: int, *, each: Callable[..., Any] = map) -> list[Row]:
    """How far ratings lean from uniform's on average, scatter around their own mean, and what the intervals say."""
    uniform = list(each(partial(ratings, "uniform", {}, votes), range(runs)))
    rows = []
    for label, (name, arena) in ARENAS.items():
        found = list(each(partial(ratings, name, arena, votes), range(runs)))
        for weighting in WEIGHTINGS:
            ours, other = _stack(found, weighting), _stack(uniform, "none")
            lean = float(np.abs(ours.mean(0) - other.mean(0)).max())
            chance = float((2 * other.var(0, ddof=1) / runs).max()) ** 0.5
            scatter = [float(s.std(0, ddof=1).mean()) for s in (ours, other)]
            widths = [mean(f[weighting][1] for f in found), mean(f["none"][1] for f in uniform)]
            rows += [
                Row(f"{label}, {weighting}: lean; other: its sd", lean, chance, lean / chance, "points", runs),
                Row(f"{label}, {weighting}: scatter", *scatter, scatter[0] / scatter[1], "points", runs),
                Row(f"{label}, {weighting}: half width", *widths, widths[0] / widths[1], "points", runs),
            ]
    return rows


def _stack(found: Sequence[dict[str, tuple[Floats, float]]], weighting: str) -> Floats:
    return np.stack([f[weighting][0] for f in found])
