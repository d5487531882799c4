"""Ratings with 95 % intervals: ours against FastChat's method with 100 bootstraps, and evalica's, in paired runs.

All three begin from the same columns of numbered models and outcomes. Ours is what the records worker does: add up,
Newton, sandwich. FastChat's method is written again in ``ops/bench/fastchat.py``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

from ops.bench.report import Row, paired
from web.ratings.bradley_terry import SCALE, Estimate, estimate
from web.ratings.tally import from_votes

ROUNDS = 100
SIZES = (10_000, 100_000, 1_000_000)
_SEED = 20_260_101


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What may be asked of this bench."""
    parser.add_argument("--models", type=int, default=100)
    parser.add_argument("--runs", type=int, default=3, help="pairs of runs per row (%(default)s)")
    parser.add_argument("--huge", action="store_true", help="ten million votes too")


def run(args: argparse.Namespace) -> tuple[str, list[Row]]:
    """The name of the other, and the rows."""
    rows: list[Row] = []
    for votes in (*SIZES, *((10_000_000,) if args.huge else ())):
        rows += _rows(votes, args.models, args.runs)
    return f"FastChat's method (0e6d3e4), {ROUNDS} bootstraps; evalica where it says so", rows


def simulated(votes: int, models: int, seed: int = _SEED) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Models drawn evenly, strengths spread like a real board's, a fifth of ties; outcome 0 b, 1 tie, 2 a."""
    rng = np.random.default_rng(seed)
    strength = rng.normal(0, 100 / SCALE, models)
    a = rng.integers(0, models, votes)
    b = (a + rng.integers(1, models, votes)) % models
    won = rng.random(votes) < 1 / (1 + np.exp(strength[b] - strength[a]))
    return a, b, np.where(rng.random(votes) < 0.2, 1, 2 * won)


def _rows(votes: int, models: int, runs: int) -> list[Row]:
    from ops.bench import fastchat

    a, b, outcome = simulated(votes, models)
    names = tuple(f"model-{i:03}" for i in range(models))

    def sandwich() -> Estimate:
        return estimate(from_votes(names, a, b, outcome / 2))

    def bootstrap() -> Estimate:
        return estimate(from_votes(names, a, b, outcome / 2), interval="bootstrap", samples=ROUNDS)

    theirs = [_time(lambda: fastchat.bootstrap(a, b, outcome, models, ROUNDS)) for _ in range(runs)]
    ours, resampling = [_time(sandwich) for _ in range(runs)], [_time(bootstrap) for _ in range(runs)]
    label = f"{votes:,} votes"
    rows = [
        paired(f"{label}, sandwich", "s", ours, theirs),
        paired(f"{label}, our bootstrap", "s", resampling, theirs),
        _widths(f"{label}, width of intervals", sandwich(), fastchat.bootstrap(a, b, outcome, models, ROUNDS)),
    ]
    if votes <= 100_000:  # a million takes it minutes
        rows.append(paired(f"{label}, evalica's bootstrap", "s", ours, [_time(_evalica(a, b, outcome)) for _ in ours]))
    return rows


def _widths(measure: str, ours: Estimate, theirs: np.ndarray) -> Row:
    return paired(measure, "points", (SCALE * (ours.upper - ours.lower)).tolist(), (theirs[2] - theirs[1]).tolist())


def _evalica(a: np.ndarray, b: np.ndarray, outcome: np.ndarray) -> Callable[[], object]:
    import evalica

    winner = {0: evalica.Winner.Y, 1: evalica.Winner.Draw, 2: evalica.Winner.X}
    winners = [winner[o] for o in outcome.tolist()]
    xs, ys = a.tolist(), b.tolist()
    return lambda: evalica.bootstrap(
        evalica.bradley_terry, xs, ys, winners, n_resamples=ROUNDS, bootstrap_method="percentile", random_state=1
    )


def _time(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin
