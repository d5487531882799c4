from __future__ import annotations

import numpy as np
import pytest

from web.ratings import weights
from web.ratings.bradley_terry import SCALE, NotConnected, estimate
from web.ratings.intervals import resampled
from web.ratings.newton import maximise
from web.ratings.tally import Count, Tally, from_counts, from_votes

MODELS = tuple(f"m{i}" for i in range(6))
TRUE = np.array([0.9, 0.5, 0.1, -0.2, -0.5, -0.8])


def drawn(seed: int, votes: int, share: np.ndarray | None = None, truth: np.ndarray | None = None) -> Tally:
    """Votes on pairs drawn with probabilities ``share``, won with probabilities ``truth`` (of the lower-numbered)."""
    rng = np.random.default_rng(seed)
    first, second = np.triu_indices(len(MODELS), 1)
    pair = rng.choice(len(first), votes, p=share)
    chance = 1 / (1 + np.exp(TRUE[second] - TRUE[first])) if truth is None else truth
    won = rng.random(votes) < chance[pair]
    weight = None if share is None else weights.propensity(share[pair])
    return from_votes(MODELS, first[pair], second[pair], won.astype(float), weight)


def test_adding_up_votes_loses_none_of_them() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 3, 500), rng.integers(3, 6, 500)
    score, weight, voter = rng.choice([0, 0.5, 1], 500), rng.choice([0.5, 2.0], 500), rng.integers(0, 9, 500)
    tally = from_votes(MODELS, a, b, score, weight, voter)
    expected: dict[tuple, int] = {}
    for row in zip(a, b, score, weight, voter, strict=True):
        expected[row] = expected.get(row, 0) + 1
    assert tally.voter is not None
    rows = zip(tally.a, tally.b, tally.score, tally.weight, tally.voter, strict=True)
    assert dict(zip(rows, tally.games, strict=True)) == expected


def test_counts_and_votes_give_the_same_estimate() -> None:
    tally = drawn(1, 400)
    counts = [
        Count(MODELS[a], MODELS[b], s, int(n))
        for a, b, s, n in zip(tally.a, tally.b, tally.score, tally.games, strict=True)
    ]
    assert estimate(from_counts(counts)).strengths() == estimate(tally).strengths()


def test_without_a_prior_connected_votes_have_the_plain_maximum() -> None:
    rows = estimate(from_counts([Count("x", "y", 1.0, 3), Count("x", "y", 0.0, 1)]), 0.0).strengths()
    assert rows[0].rating - rows[1].rating == pytest.approx(SCALE * np.log(3))


@pytest.mark.parametrize(
    "counts",
    [
        [Count("x", "y", 1.0, 9)],
        [Count("x", "y", 0.5, 9), Count("u", "v", 0.5, 9)],
        [Count("x", "y", 0.5, 9), Count("x", "u", 1.0), Count("u", "v", 0.5)],
    ],
    ids=["undefeated", "two islands", "one way"],
)
def test_without_a_prior_what_has_no_estimate_is_refused(counts: list[Count]) -> None:
    with pytest.raises(NotConnected) as refused:
        estimate(from_counts(counts), 0.0)
    assert set(refused.value.group) < {"x", "y", "u", "v"}


def test_one_way_bridges_in_both_directions_connect() -> None:
    ring = [Count("x", "y", 1.0), Count("y", "z", 1.0), Count("z", "x", 1.0)]
    assert [s.rating for s in estimate(from_counts(ring), 0.0).strengths()] == pytest.approx([1000] * 3)


def test_the_bootstrap_and_the_sandwich_agree_on_plenty_of_votes() -> None:
    tally = drawn(2, 6000)
    plain, again = estimate(tally, 0.0), estimate(tally, 0.0, interval="bootstrap", samples=400)
    ratio = (again.upper - again.lower) / (plain.upper - plain.lower)
    assert 0.9 < np.median(ratio) < 1.1


def test_the_same_seed_gives_the_same_interval() -> None:
    tally = drawn(3, 300)
    one, other = (estimate(tally, interval="bootstrap", samples=20, seed=s) for s in (7, 7))
    assert one.strengths() == other.strengths()
    assert one.strengths() != estimate(tally, interval="bootstrap", samples=20, seed=8).strengths()


def test_resamples_fitted_together_are_fitted_as_one_by_one() -> None:
    tally = drawn(4, 200)
    theta = maximise(tally.pairs(), 0.1)
    together = resampled(tally, theta, 0.1, 5, seed=1)
    rng = np.random.default_rng(1)
    counts = rng.multinomial(200, tally.games / 200, size=5).astype(float)
    for games, found in zip(counts, together, strict=True):
        assert found == pytest.approx(maximise(tally.pairs(games), 0.1), abs=1e-9)


def test_voters_who_repeat_themselves_widen_intervals_by_voter() -> None:
    """Everybody votes ten times the same way: that is as certain as a tenth of the votes."""
    rng = np.random.default_rng(5)
    won = rng.random(200) < 0.6
    voter = np.repeat(np.arange(200), 10)
    tally = from_votes(
        ("x", "y"), np.zeros(2000, int), np.ones(2000, int), np.repeat(won, 10).astype(float), voter=voter
    )
    plain, clustered = estimate(tally, 0.0), estimate(tally, 0.0, interval="clustered")
    ratio = (clustered.upper - clustered.lower) / (plain.upper - plain.lower)
    assert ratio == pytest.approx(np.sqrt(10), rel=0.01)


def test_one_vote_per_voter_makes_intervals_by_voter_the_plain_ones() -> None:
    tally = drawn(6, 3000)
    rng = np.random.default_rng(6)
    rows = np.repeat(np.arange(len(tally.a)), tally.games.astype(int))
    single = from_votes(MODELS, tally.a[rows], tally.b[rows], tally.score[rows], voter=rng.permutation(3000))
    plain, clustered = estimate(tally), estimate(single, interval="clustered")
    assert clustered.upper == pytest.approx(plain.upper, rel=1e-3)


def test_intervals_by_voter_need_voters() -> None:
    with pytest.raises(ValueError, match="who voted"):
        estimate(drawn(7, 50), interval="clustered")


SKEWED = np.array([40, 1, 1, 1, 40, 1, 1, 40, 1, 1, 1, 40, 1, 1, 40.0])
"""Pairs in the order (0,1), (0,2) ... (4,5): five of fifteen are drawn forty times as often as the rest."""


def test_realised_weights_give_every_pair_the_same_say() -> None:
    games = weights.realised(drawn(8, 20_000, SKEWED / SKEWED.sum())).pairs().games
    assert games[np.triu_indices(6, 1)] == pytest.approx(20_000 / 15)


def test_a_pair_of_few_votes_does_not_speak_as_loud_as_the_others() -> None:
    tally = from_counts([Count("x", "y", 1.0, 100), Count("y", "z", 1.0, 1)])
    games = weights.realised(tally, floor=10).pairs().games
    assert games[0, 1] / games[1, 2] == pytest.approx(10)


def test_clipped_weights_stay_near_their_limit_and_have_mean_one() -> None:
    weight = weights.propensity(np.array([0.5] * 999 + [1e-6]), clip=20)
    assert weight.mean() == pytest.approx(1)
    assert weight.max() == pytest.approx(20)


@pytest.mark.parametrize("bad", [0.0, -0.1, 1.5, float("nan")])
def test_what_is_no_probability_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="probability"):
        weights.propensity(np.array([0.5, bad]))


def test_equal_weights_cost_no_votes() -> None:
    assert weights.effective(drawn(9, 500)) == pytest.approx(500)


@pytest.fixture(scope="module")
def cycle() -> np.ndarray:
    """Chances of winning that no strengths explain: neighbours beat each other round in a circle."""
    first, second = np.triu_indices(6, 1)
    fair = 1 / (1 + np.exp(TRUE[second] - TRUE[first]))
    return np.clip(fair + np.where((second - first) % 2 == 1, 0.25, -0.25), 0.03, 0.97)


def target(chance: np.ndarray) -> np.ndarray:
    """The fit to these chances with every pair as likely as any other."""
    first, second = np.triu_indices(6, 1)
    million = np.full(15, 1e6)
    tally = Tally(
        MODELS, np.tile(first, 2), np.tile(second, 2), np.repeat([1.0, 0.0], 15),
        np.concatenate([million * chance, million * (1 - chance)]), np.ones(30),
    )  # fmt: skip
    return estimate(tally, 0.0).theta


def test_weights_bring_back_what_uniform_sampling_would_say(cycle: np.ndarray) -> None:
    """On tastes that are not transitive, a skewed policy moves the plain estimate away and the weights undo it.

    Both weightings are as unbiased; the realised counts scatter less. Differences on the Elo scale.
    """
    share, truth = SKEWED / SKEWED.sum(), target(cycle)
    found: dict[str, list[np.ndarray]] = {"plain": [], "propensity": [], "realised": []}
    for seed in range(240):
        tally = drawn(seed, 12_000, share, cycle)
        found["propensity"].append(estimate(tally.weighing(tally.weight), 0.0).theta)
        plain = tally.weighing(np.ones_like(tally.weight))
        found["plain"].append(estimate(plain, 0.0).theta)
        found["realised"].append(estimate(weights.realised(plain), 0.0).theta)
    bias = {k: SCALE * np.abs(np.mean(v, axis=0) - truth).max() for k, v in found.items()}
    spread = {k: SCALE * np.mean(np.std(v, axis=0)) for k, v in found.items()}
    assert bias["plain"] > 20
    assert bias["propensity"] < 4
    assert bias["realised"] < 4
    assert spread["realised"] < 0.95 * spread["propensity"]


@pytest.mark.parametrize("weighting", ["none", "propensity", "realised"])
def test_sandwich_widths_are_the_true_scatter(weighting: str, cycle: np.ndarray) -> None:
    """Also where the model is wrong, and with weights: mean squared width against the variance over 200 repetitions."""
    share = SKEWED / SKEWED.sum()
    thetas, widths = [], []
    for seed in range(200):
        tally = drawn(1000 + seed, 3000, share, cycle)
        if weighting != "propensity":
            tally = tally.weighing(np.ones_like(tally.weight))
        if weighting == "realised":
            tally = weights.realised(tally)
        found = estimate(tally, 0.0)
        thetas.append(found.theta)
        widths.append((found.upper - found.theta) / 1.959964)
    ratio = np.sqrt(np.mean(np.square(widths), axis=0)) / np.std(thetas, axis=0)
    assert 0.93 < np.mean(ratio) < 1.08


@pytest.mark.parametrize("games", [1, 10**6, 10**12])
def test_however_many_votes_there_are_it_settles(games: int) -> None:
    ring = [Count("x", "y", 1.0, 2 * games), Count("y", "x", 1.0, games), Count("y", "z", 1.0, games)]
    rows = estimate(from_counts([*ring, Count("z", "x", 1.0, games)]), 0.0).strengths()
    assert sum(row.rating for row in rows) == pytest.approx(3000)
