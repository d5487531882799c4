from __future__ import annotations

import random
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from web.arena.sampling import PairDistribution, TooFewModels
from web.arena.sampling.distribution import ends
from web.arena.sampling.policies import pair_weights

NAMES = st.lists(st.text("abcdefgh", min_size=1, max_size=3), min_size=2, max_size=9, unique=True)


@st.composite
def distributions(draw: st.DrawFn) -> PairDistribution:
    names = draw(NAMES)
    pairs = len(names) * (len(names) - 1) // 2
    weights = draw(st.lists(st.floats(0, 1e300), min_size=pairs, max_size=pairs).filter(any))
    return PairDistribution.of(names, np.array(weights))


@settings(deadline=None)
@given(distributions())
def test_probabilities_sum_to_one_and_are_those_of_the_named_pairs(made: PairDistribution) -> None:
    assert sum(made.p) == pytest.approx(1)
    assert len(made.pairs) == len(made.p) == len(set(made.pairs))
    for k, (one, other) in enumerate(made.pairs):
        assert made.probability(one, other) == made.probability(other, one) == made.p[k]
        assert made.probability(one, one) == made.probability(one, "nobody") == 0


@settings(deadline=None)
@given(distributions(), st.randoms(use_true_random=False))
def test_a_draw_carries_the_probability_it_was_drawn_with(made: PairDistribution, dice: random.Random) -> None:
    draw = made.draw(dice, "some-1")
    assert draw.a != draw.b
    assert draw.policy == "some-1"
    assert 0 < draw.probability == min(made.probability(draw.a, draw.b), 1)


@settings(deadline=None)
@given(distributions(), st.floats(0, 1))
def test_a_mixture_is_a_distribution_between_its_parts(made: PairDistribution, share: float) -> None:
    even = PairDistribution.uniform(made.models)
    mixed = made.mixed(even, share)
    assert sum(mixed.p) == pytest.approx(1)
    assert np.all(np.array(mixed.p) >= np.minimum(made.p, even.p) - 1e-12)
    assert np.all(np.array(mixed.p) <= np.maximum(made.p, even.p) + 1e-12)
    if share > 0:
        assert min(mixed.p) >= share * min(even.p) * (1 - 1e-9)


@settings(deadline=None)
@given(NAMES.filter(lambda n: len(n) > 2), st.data())
def test_drawing_again_without_a_model_is_the_same_as_never_having_had_it(
    names: list[str], data: st.DataObject
) -> None:
    """Draw; if the model is in the pair, draw again without it: what comes out is what ``without`` says."""
    weights = data.draw(st.lists(st.floats(0.01, 100), min_size=len(names), max_size=len(names)))
    made = PairDistribution.of(names, pair_weights(np.array(weights)))
    out = data.draw(st.sampled_from(names))
    again = made.without({out})
    met = sum(made.probability(out, other) for other in names)
    for one, other in again.pairs:
        twice = made.probability(one, other) + met * again.probability(one, other)
        assert twice == pytest.approx(again.probability(one, other))


def test_what_is_said_is_what_happens_and_sides_are_a_fair_coin() -> None:
    made = PairDistribution.of("abc", np.array([0.7, 0.2, 0.1]))
    dice, rounds = random.Random(7), 20_000
    draws = [made.draw(dice, "x") for _ in range(rounds)]
    seen = Counter(frozenset((d.a, d.b)) for d in draws)
    for one, other in combinations("abc", 2):
        assert seen[frozenset((one, other))] / rounds == pytest.approx(made.probability(one, other), abs=0.015)
    assert 0.48 < sum(d.a < d.b for d in draws) / rounds < 0.52


def test_a_pair_of_probability_zero_is_never_drawn() -> None:
    class Last(random.Random):
        def random(self) -> float:
            return 1.0 - 2**-53

    made = PairDistribution.of("abc", np.array([0.5, 0.5, 0.0]))
    draw = made.draw(Last(), "x")
    assert {draw.a, draw.b} == {"a", "c"}


def test_pairs_come_in_one_order_everywhere() -> None:
    assert list(ends(4)) == list(combinations(range(4), 2))
    assert PairDistribution.uniform("dcba").pairs == list(combinations("abcd", 2))


@pytest.mark.parametrize("models", [[], ["a"], ["a", "a"]])
def test_fewer_than_two_models_are_refused(models: list[str]) -> None:
    with pytest.raises(TooFewModels):
        PairDistribution.uniform(models)
    with pytest.raises(TooFewModels):
        PairDistribution.uniform(["x", "y", *models]).without({"x", "y"})


@pytest.mark.parametrize("weights", [[0, 0, 0], [1, -1, 1], [1, float("nan"), 1], [1, float("inf"), 1], [1, 1]])
def test_weights_that_make_no_distribution_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="pairs"):
        PairDistribution.of("abc", np.array(weights, dtype=float))


def test_only_distributions_over_the_same_models_mix() -> None:
    with pytest.raises(ValueError, match="same models"):
        PairDistribution.uniform("ab").mixed(PairDistribution.uniform("abc"), 0.5)
