"""That 95 % intervals hold the truth 95 % of the time: 12 models, 400 simulated arenas with fixed seeds."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from web.ratings import weights
from web.ratings.bradley_terry import estimate
from web.ratings.intervals import Kind
from web.ratings.tally import Tally, from_votes

MODELS = tuple(f"m{i:02}" for i in range(12))
FIRST, SECOND = np.triu_indices(len(MODELS), 1)
TRUE = np.linspace(-1, 1, len(MODELS))
CHANCE = 1 / (1 + np.exp(TRUE[SECOND] - TRUE[FIRST]))
TIES = 0.2
EVEN = np.full(len(FIRST), 1 / len(FIRST))
RESIDENT = np.where(SECOND - FIRST == 1, 20.0, 1.0)
"""Neighbours are often in memory together, and drawn twenty times as often as others."""
Weighting = Literal["none", "propensity", "realised"]


def arena(seed: int, votes: int, share: np.ndarray, chance: np.ndarray, weighting: Weighting) -> Tally:
    rng = np.random.default_rng(seed)
    pair = rng.choice(len(FIRST), votes, p=share)
    won = (rng.random(votes) < chance[pair]).astype(float)
    score = np.where(rng.random(votes) < TIES, 0.5, won)
    swapped = rng.random(votes) < 0.5
    a, b = np.where(swapped, SECOND[pair], FIRST[pair]), np.where(swapped, FIRST[pair], SECOND[pair])
    weight = weights.propensity(share[pair]) if weighting == "propensity" else None
    tally = from_votes(MODELS, a, b, np.where(swapped, 1 - score, score), weight)
    return weights.realised(tally) if weighting == "realised" else tally


def truth(chance: np.ndarray) -> np.ndarray:
    """What endless votes on pairs drawn evenly say; the share of ties pulls everybody together."""
    expected = (1 - TIES) * chance + TIES / 2
    endless = np.concatenate([expected, 1 - expected]) * 1e6
    both = (np.tile(FIRST, 2), np.tile(SECOND, 2))
    score = np.repeat([1.0, 0.0], len(FIRST))
    return estimate(Tally(MODELS, *both, score, endless, np.ones(len(endless))), 0.0).theta


def coverage(runs: int, share: np.ndarray, chance: np.ndarray, weighting: Weighting, interval: Kind) -> float:
    """Of all models and runs, how many intervals hold the truth."""
    right = truth(chance)
    held = []
    for seed in range(runs):
        tally = arena(seed, 4000, share / share.sum(), chance, weighting)
        found = estimate(tally, interval=interval, samples=200, seed=seed)
        held.append((found.lower <= right) & (right <= found.upper))
    return float(np.mean(held))


CIRCULAR = np.clip(CHANCE + np.where((SECOND - FIRST) % 2 == 1, 0.15, -0.15), 0.03, 0.97)
"""Tastes that no strengths explain."""


@pytest.mark.long
@pytest.mark.parametrize(
    ("share", "chance", "weighting"),
    [
        (EVEN, CHANCE, "none"),
        (EVEN, CIRCULAR, "none"),
        (EVEN, CHANCE, "realised"),
        (RESIDENT, CHANCE, "none"),
        (RESIDENT, CHANCE, "propensity"),
        (RESIDENT, CHANCE, "realised"),
        (RESIDENT, CIRCULAR, "propensity"),
        (RESIDENT, CIRCULAR, "realised"),
    ],
    ids=[
        "even", "even, circular", "even, weighted", "resident, unweighted", "resident, propensity",
        "resident, realised", "resident, circular, propensity", "resident, circular, realised",
    ],
)  # fmt: skip
def test_intervals_hold_the_truth_as_often_as_they_say(
    share: np.ndarray, chance: np.ndarray, weighting: Weighting
) -> None:
    assert 0.94 <= coverage(400, share, chance, weighting, "sandwich") <= 0.96


@pytest.mark.long
@pytest.mark.parametrize("weighting", ["propensity", "realised"])
def test_so_do_those_of_the_bootstrap(weighting: Weighting) -> None:
    assert 0.94 <= coverage(400, RESIDENT, CIRCULAR, weighting, "bootstrap") <= 0.96


@pytest.mark.long
def test_unweighted_intervals_miss_where_tastes_go_in_circles() -> None:
    """The simulation can tell right from wrong: without weights the same arena is often wrong."""
    assert coverage(100, RESIDENT, CIRCULAR, "none", "sandwich") < 0.7


def test_intervals_hold_the_truth_in_a_few_arenas() -> None:
    """The quick version: 40 arenas, and a wider tolerance for chance."""
    assert 0.92 < coverage(40, RESIDENT, CHANCE, "realised", "sandwich") < 0.98
