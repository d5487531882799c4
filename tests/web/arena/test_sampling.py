from __future__ import annotations

import random
from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.arena.sampling import UNIFORM, WEIGHTED, TooFewModels, pair_probability, sample_pair

MODELS = st.lists(st.text("abcdefgh", min_size=1, max_size=3), min_size=2, max_size=8, unique=True)
WEIGHT = st.floats(0.01, 100)


@given(MODELS, st.randoms(use_true_random=False))
def test_two_different_models_meet(models: list[str], rng: random.Random) -> None:
    draw = sample_pair(models, None, rng)
    assert draw.a != draw.b
    assert {draw.a, draw.b} <= set(models)
    assert 0 < draw.probability <= 1 + 1e-12


@given(MODELS)
def test_without_weights_every_pair_is_equally_likely(models: list[str]) -> None:
    draw = sample_pair(models, None, random.Random(1))
    assert draw.policy == UNIFORM
    assert draw.probability == pytest.approx(2 / (len(models) * (len(models) - 1)))


@given(st.dictionaries(st.text("abcdefgh", min_size=1, max_size=3), WEIGHT, min_size=2, max_size=8))
def test_the_probabilities_of_all_pairs_sum_to_one(share: dict[str, float]) -> None:
    total = sum(pair_probability(share, one, other) for one, other in combinations(share, 2))
    assert total == pytest.approx(1)


def test_the_stated_probability_is_the_one_that_happens() -> None:
    weights, rng, rounds = {"a": 5.0, "b": 1.0, "c": 1.0}, random.Random(7), 20_000
    draws = [sample_pair(list(weights), weights, rng) for _ in range(rounds)]
    seen = Counter(frozenset((d.a, d.b)) for d in draws)
    assert {d.policy for d in draws} == {WEIGHTED}
    for pair, times in seen.items():
        stated = next(d.probability for d in draws if {d.a, d.b} == pair)
        assert times / rounds == pytest.approx(stated, abs=0.015)


def test_sides_are_a_fair_coin_whatever_the_weights() -> None:
    weights, rng = {"a": 50.0, "b": 1.0}, random.Random(3)
    first = sum(sample_pair(["a", "b"], weights, rng).a == "a" for _ in range(10_000))
    assert 4_800 < first < 5_200


@pytest.mark.parametrize("models", [[], ["a"], ["a", "a"]])
def test_fewer_than_two_models_are_refused(models: list[str]) -> None:
    with pytest.raises(TooFewModels):
        sample_pair(models, None, random.Random(1))


def test_a_weight_that_is_not_positive_is_refused() -> None:
    with pytest.raises(ValueError, match="positive"):
        sample_pair(["a", "b"], {"a": 0.0}, random.Random(1))
