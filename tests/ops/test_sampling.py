"""What the sampling bench claims, small enough to prove every time; the claims on averages are for the long tier."""

from __future__ import annotations

from collections import Counter
from functools import cache, partial

import numpy as np
import pytest

from ops.bench.contention import workers
from ops.bench.sampling import ARENAS, WEIGHTINGS, leanings, policies, ratings
from ops.bench.sampling.arena import Met, day, quick
from ops.bench.sampling.truth import Battles, Polls, Truth, fitted, width
from ops.bench.simulation import World
from web.arena.sampling import Uniform

RESIDENCY = policies()["residency"]
RUNS, VOTES = 400, 1200
T_90 = 1.645


def test_a_truth_is_a_table_of_scores_that_add_up() -> None:
    for truth in (Truth.transitive(7, 1), Truth.cyclic(6, 150.0, 1)):
        off = ~np.eye(len(truth.models), dtype=bool)
        assert np.allclose((truth.wins + truth.wins.T)[off], 1)
        assert truth.rating.mean() == pytest.approx(1000)


def test_circular_tastes_are_not_transitive() -> None:
    truth = Truth.cyclic(6, 400.0, 1)
    beats = truth.wins > 0.5
    assert any(beats[i, j] and beats[j, k] and beats[k, i] for i in range(6) for j in range(6) for k in range(6))


def test_votes_score_as_the_truth_says() -> None:
    truth = Truth.transitive(2)
    polls = Polls(truth, 1)
    scores = [polls.vote("a", "b") for _ in range(4000)]
    assert np.mean(scores) == pytest.approx(truth.wins[0, 1], abs=0.025)
    assert set(scores) == {0.0, 0.5, 1.0}
    assert polls.known["a|b"].games == 4000
    assert polls.known["a|b"].variance == pytest.approx(np.var(scores), abs=0.001)


def test_an_order_is_right_when_nobody_far_apart_is_swapped() -> None:
    truth = Truth.transitive(3)
    assert truth.in_order(truth.rating, 50)
    assert not truth.in_order(-truth.rating, 50)
    assert truth.in_order(-truth.rating, 10_000)


def test_a_quiet_arena_of_two_never_switches_and_one_of_more_does() -> None:
    assert quick(Truth.transitive(2), Uniform(), 50, seed=1).loads == 0
    assert quick(Truth.transitive(6), Uniform(), 300, seed=1).per_battle == pytest.approx(4 / 3, abs=0.15)


def test_a_day_serves_every_battle_once_and_asks_the_real_plan() -> None:
    met = day(World(models=4), 60, 0.05, Truth.transitive(4), RESIDENCY, seed=1)
    assert len(met.battles) == len(met.at) == len(met.waits) == met.offered == 60
    assert met.at == sorted(met.at)
    assert all(0 < p <= 1 and a != b for a, b, p, _ in met.battles)


def test_people_who_have_just_seen_a_pair_are_given_another() -> None:
    truth, world = Truth.transitive(6), World(models=6)
    alone = Counter(frozenset(b[:2]) for b in day(world, 60, 0.05, truth, RESIDENCY, 1, askers=1).battles)
    assert len(alone) > 8


def test_the_default_policy_loads_few_engines_and_measures_as_well() -> None:
    uniform, ours = _days("uniform", 0.05, 300, 1)[0], _days("residency", 0.05, 300, 1)[0]
    assert ours.per_battle <= uniform.per_battle / 4
    assert _votes_needed(ours, uniform) <= 1.15


@pytest.mark.long
@pytest.mark.parametrize("utilisation", [0.05, 0.2, 0.5])
def test_six_models_two_in_memory_a_quarter_of_the_loads_at_most_for_the_same_intervals(utilisation: float) -> None:
    uniform, ours = _days("uniform", utilisation, 1500, 3), _days("residency", utilisation, 1500, 3)
    assert np.mean([m.per_battle for m in ours]) <= np.mean([m.per_battle for m in uniform]) / 4
    assert np.mean([_votes_needed(o, u) for o, u in zip(ours, uniform, strict=True)]) <= 1.15


@pytest.mark.long
def test_without_rounds_unweighted_ratings_of_circular_tastes_lean() -> None:
    found = _stack("residency, no rounds", "none", pinned=True)
    low, high = _difference(found, _stack("uniform", "none"))
    assert np.maximum(low, -high).max() > 20, "points, at the near end of the interval"


@pytest.mark.long
@pytest.mark.parametrize("pinned", [False, True])
def test_in_rounds_ratings_of_circular_tastes_are_those_of_uniform_draws(pinned: bool) -> None:
    """Two one-sided tests: the 90 % interval of every model's difference lies within 5 points."""
    low, high = _difference(_stack("residency", "realised", pinned), _stack("uniform", "none"))
    assert low.min() > -5
    assert high.max() < 5


def _days(name: str, utilisation: float, battles: int, seeds: int) -> list[Met]:
    world = World(models=6)
    return [day(world, battles, utilisation, Truth.transitive(6, s), policies()[name], s) for s in range(seeds)]


def _votes_needed(ours: Met, other: Met) -> float:
    """Votes for intervals as narrow, ours to the other's: widths fall with the root of the votes."""
    votes = min(len(ours.battles), len(other.battles))
    truth = Truth.transitive(6)
    widths = [width(fitted(truth, Battles.of(truth, m.battles).first(votes), "none")) for m in (ours, other)]
    return float((widths[0] / widths[1]) ** 2)


@cache
def _runs(name: str, pinned: bool) -> list[dict[str, tuple[np.ndarray, float]]]:
    arena = {"capacity": 3, "pinned": ("a",)} if pinned else {}
    with workers() as processes:
        return list(processes.map(partial(ratings, name, arena, VOTES), range(RUNS), chunksize=20))


def _stack(name: str, weighting: str, pinned: bool = False) -> np.ndarray:
    return np.stack([run[weighting][0] for run in _runs(name, pinned)])


def _difference(ours: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the 90 % interval of each model's mean difference, in points."""
    mean = ours.mean(0) - other.mean(0)
    error = T_90 * np.sqrt((ours.var(0, ddof=1) + other.var(0, ddof=1)) / RUNS)
    return mean - error, mean + error


def test_every_arena_and_weighting_has_its_rows() -> None:
    rows = {r.measure: r for r in leanings(4, 150)}
    assert len(rows) == len(ARENAS) * len(WEIGHTINGS) * 3
    assert all(r.runs == 4 and r.ours > 0 for r in rows.values())
