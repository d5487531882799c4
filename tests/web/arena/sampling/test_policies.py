from __future__ import annotations

import random
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from web.arena.sampling import Active, PairVotes, Policy, ResidencyAware, Situation, Uniform, Weighted, among
from web.arena.sampling.tally import Count, by_pair
from worker.contract.residency import Residency, pair_key

MODELS = tuple("abcdef")
patiently = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    """Anything a policy could ever be told: reports of workers in any state, counts, votes, what the asker has seen."""
    models = tuple(sorted(draw(st.sets(st.sampled_from("abcdef"), min_size=2))))
    keys = [pair_key(*p) for p in combinations("abcdef", 2)]
    some = st.lists(st.sampled_from("abcdef"), unique=True, max_size=3).map(tuple)
    reports = st.builds(
        Residency,
        worker=st.just("w"),
        at=st.just(0.0),
        accepting=st.booleans(),
        capacity=st.just(2),
        models=st.one_of(st.just(()), st.just(tuple("abcdef")), some),
        ready=some,
        loading=some,
        sleeping=some,
        failed=st.dictionaries(st.sampled_from("abcdef"), st.just("why"), max_size=2),
        eta=st.dictionaries(st.sampled_from(keys), st.floats(0, 500), max_size=9),
    )
    votes = st.builds(PairVotes, st.floats(0, 1e6), st.floats(0, 0.25))
    return Situation(
        models,
        draw(st.lists(reports, max_size=3)),
        draw(st.dictionaries(st.sampled_from(keys), votes, max_size=9)),
        draw(st.dictionaries(st.sampled_from(keys), st.integers(-3, 200), max_size=9)),
        draw(st.text("xyz", max_size=3)),
        draw(st.integers(0, 2000)),
        draw(st.frozensets(st.sampled_from(keys), max_size=4)),
    )


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    weights = st.dictionaries(st.sampled_from("abcdef"), st.floats(1e-3, 1e3))
    plain: Policy = draw(
        st.one_of(
            st.just(Uniform()),
            st.builds(Weighted, weights, st.floats(1, 10), st.integers(0, 5000)),
            st.builds(Active, st.floats(0.001, 1)),
        )
    )
    if draw(st.booleans()):
        return plain
    return ResidencyAware(plain, draw(st.floats(0.001, 1)), draw(st.floats(0, 300)))


@patiently
@given(policies(), situations(), st.randoms(use_true_random=False))
def test_every_pair_that_may_meet_can_and_the_probabilities_sum_to_one(
    policy: Policy, now: Situation, dice: random.Random
) -> None:
    made = policy.distribution(now)
    assert made.models == now.models
    assert min(made.p) > 0
    assert sum(made.p) == pytest.approx(1)
    draw = made.draw(dice, policy.version)
    assert {draw.a, draw.b} <= set(now.models)
    assert draw.probability == pytest.approx(made.probability(draw.a, draw.b))


@patiently
@given(policies(), situations())
def test_the_same_situation_gives_the_same_probabilities(policy: Policy, now: Situation) -> None:
    assert policy.distribution(now).p == policy.distribution(now).p


@patiently
@given(policies(), policies())
def test_a_version_names_its_parameters(one: Policy, other: Policy) -> None:
    assert (one.version == other.version) == (one == other)
    assert len(one.version) <= 40


def test_uniform_is_named_so() -> None:
    assert Uniform().version == "uniform-1"
    assert np.allclose(Uniform().distribution(among(MODELS)).p, 1 / 15)


@patiently
@given(st.dictionaries(st.sampled_from(MODELS), st.floats(0.01, 100), min_size=2))
def test_weighted_draws_one_by_weight_and_the_other_among_the_rest(weights: dict[str, float]) -> None:
    made = Weighted(weights).distribution(among(list(weights)))
    total = sum(weights.values())
    for one, other in made.pairs:
        p, q = weights[one] / total, weights[other] / total
        assert made.probability(one, other) == pytest.approx(p * q / (1 - p) + q * p / (1 - q))


def test_a_newcomer_meets_more_often_until_it_has_its_votes() -> None:
    def share(votes: float) -> float:
        known = {pair_key("a", "b"): PairVotes(votes, 0.2), pair_key("b", "c"): PairVotes(9999.0, 0.2)}
        made = Weighted({}, newcomer=5.0, ramp=100).distribution(Situation(("a", "b", "c", "d", "e"), votes=known))
        return made.probability("a", "c")

    assert share(0) > share(50) > share(100) == share(5000)
    assert share(100) < Weighted({}, newcomer=5.0, ramp=0).distribution(among("abcde")).probability("a", "c")


def test_a_weight_that_is_not_positive_is_refused() -> None:
    with pytest.raises(ValueError, match="positive"):
        Weighted({"a": 0.0}).distribution(among("ab"))


def test_active_prefers_pairs_with_few_votes_and_those_that_scatter() -> None:
    known = {
        pair_key("a", "b"): PairVotes(1000, 0.25),
        pair_key("a", "c"): PairVotes(10, 0.25),
        pair_key("b", "c"): PairVotes(10, 0.05),
    }
    made = Active(0.01).distribution(Situation(("a", "b", "c", "d"), votes=known))
    assert made.probability("a", "d") > made.probability("a", "c") > made.probability("b", "c")
    assert made.probability("b", "c") > made.probability("a", "b")
    alike = Active(0.01).distribution(Situation(("a", "b", "c", "d")))
    assert np.allclose(alike.p, 1 / 6)


@patiently
@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([0.0, 0.5, 1.0]), st.integers(1, 50)), min_size=1))
def test_votes_by_pair_are_the_same_whichever_side_a_model_was_on(rows: list[Any]) -> None:
    counts = [
        Count("a", "b", score, games) if side == "a" else Count("b", "a", 1 - score, games)
        for side, score, games in rows
    ]
    found = by_pair(counts)["a|b"]
    scores = np.repeat([s for _, s, _ in rows], [g for _, _, g in rows])
    assert found.games == len(scores)
    assert found.variance == pytest.approx(np.var([*scores, 0.0, 1.0]))
