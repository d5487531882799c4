"""Pairs in memory go on, every pair gets its share of a round, and nothing is ever ruled out."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from web.arena.sampling import ResidencyAware, Situation, Uniform, Weighted
from worker.contract.residency import Residency, pair_key

MODELS = tuple("abcdef")
FLOOR = 0.02


def report(*ready: str, **fields: Any) -> Residency:
    known = {"worker": "w", "at": 0.0, "accepting": True, "capacity": 2, "models": MODELS, **fields}
    return Residency(ready=ready, **known)


def situation(*ready: str, models: tuple[str, ...] = MODELS, **known: Any) -> Situation:
    return Situation(models, known.pop("reports", None) or (report(*ready),), **{"rounds": 9, **known})


POLICY = ResidencyAware(Uniform(), FLOOR, stay=10)


def favoured(now: Situation, policy: ResidencyAware = POLICY) -> set[str]:
    made = policy.distribution(now)
    return {k for k, p in zip(now.keys, made.p, strict=True) if p > 2 * min(made.p)}


def test_the_pair_in_memory_goes_on() -> None:
    made = POLICY.distribution(situation("c", "e"))
    assert made.probability("c", "e") == pytest.approx(1 - FLOOR + FLOOR / 15)
    assert made.probability("a", "b") == pytest.approx(FLOOR / 15)


def test_more_pairs_in_memory_share_by_what_is_left_to_them() -> None:
    drawn = {pair_key("a", "b"): 9, pair_key("a", "c"): 6, pair_key("b", "c"): 10}
    made = POLICY.distribution(situation("a", "b", "c", drawn=drawn))
    rest = FLOOR / 15
    assert made.probability("a", "b") == pytest.approx((1 - FLOOR) * 1 / 5 + rest)
    assert made.probability("a", "c") == pytest.approx((1 - FLOOR) * 4 / 5 + rest)
    assert made.probability("b", "c") == pytest.approx(rest)


def test_when_it_has_had_its_share_one_pair_follows_that_needs_one_engine_only() -> None:
    now = situation("a", "b", drawn={pair_key("a", "b"): 10})
    (following,) = favoured(now)
    assert len(set(following.split("|")) & {"a", "b"}) == 1


def test_all_draws_until_it_is_in_memory_agree_on_which_follows() -> None:
    drawn = {pair_key("a", "b"): 10}
    (first,) = favoured(situation("a", "b", drawn=drawn))
    for times in range(1, 10):
        assert favoured(situation("a", "b", drawn={**drawn, first: times})) == {first}


def test_models_that_have_met_least_follow_first() -> None:
    drawn = {pair_key("a", "b"): 10, pair_key("a", "c"): 10, pair_key("b", "c"): 10, pair_key("d", "e"): 10}
    (following,) = favoured(situation("a", "b", drawn=drawn))
    assert "f" in following


def test_rounds_do_not_go_through_the_pairs_in_the_same_order() -> None:
    drawn = {pair_key("a", "b"): 10}
    assert len({favoured(situation("a", "b", drawn=drawn, round=str(n))).pop() for n in range(30)}) > 3


def test_a_worker_that_says_how_long_pairs_would_wait_is_believed() -> None:
    """The pool may already be turning to another pair, while this one's engines are still up."""
    eta = {pair_key(*p): 30.0 for p in combinations(MODELS, 2)} | {pair_key("c", "d"): 4.0}
    assert favoured(situation(reports=(report("a", "b", eta=eta),))) == {pair_key("c", "d")}


def test_engines_that_sleep_or_load_are_nearer_than_cold_ones() -> None:
    asleep = (report("a", sleeping=("d",)),)
    assert favoured(situation(reports=asleep)) == {pair_key("a", "d")}
    coming = (report("a", sleeping=("d",), loading=("e",)),)
    assert favoured(situation(reports=coming)) == {pair_key("a", "e")}


def test_what_one_worker_has_in_memory_is_enough() -> None:
    here, there = report("a", "b"), report("c", "d", worker="v")
    assert favoured(situation(reports=(here, there))) == {pair_key("a", "b"), pair_key("c", "d")}
    leaving = report("c", "d", worker="v", accepting=False)
    assert favoured(situation(reports=(here, leaving))) == {pair_key("a", "b")}


def test_whoever_has_just_read_the_names_of_a_pair_is_not_given_it_again() -> None:
    now = situation("a", "b", seen=frozenset({pair_key("a", "b")}))
    assert pair_key("a", "b") not in favoured(now)
    assert POLICY.distribution(now).probability("a", "b") == pytest.approx(FLOOR / 15)
    two = Situation(("a", "b"), (report("a", "b"),), seen=frozenset({pair_key("a", "b")}))
    assert POLICY.distribution(two).probability("a", "b") == 1


def test_a_round_is_over_when_every_pair_that_can_meet_has_had_its_quota() -> None:
    full = {pair_key(*p): 10 for p in combinations(MODELS, 2)}
    assert POLICY.is_over(situation("a", "b", drawn=full))
    short = {**full, pair_key("d", "f"): 9}
    assert not POLICY.is_over(situation("a", "b", drawn=short))
    assert favoured(situation("a", "b", drawn=short)) == {pair_key("d", "f")}
    assert POLICY.is_over(situation("a", "b", drawn=short, models=tuple("abcde"))), "f is out for now"
    assert favoured(situation("a", "b", drawn=full)) == {pair_key("a", "b")}, "nobody has begun the next round yet"


def test_the_first_rounds_are_shorter() -> None:
    policy = ResidencyAware(Uniform(), FLOOR, stay=70)

    def is_over(rounds: int, each: int) -> bool:
        return policy.is_over(
            situation("a", "b", rounds=rounds, drawn={pair_key(*p): each for p in combinations(MODELS, 2)})
        )

    for rounds, quota in ((0, 20), (1, 40), (2, 70), (3, 70), (999, 70)):
        assert is_over(rounds, quota)
        assert not is_over(rounds, quota - 1)


def test_without_rounds_what_is_in_memory_just_goes_on() -> None:
    endless = ResidencyAware(Uniform(), FLOOR, stay=0)
    now = situation("a", "b", drawn={pair_key("a", "b"): 10_000})
    assert favoured(now, endless) == {pair_key("a", "b")}
    assert not endless.is_over(now)


@pytest.mark.parametrize("base", [Uniform(), Weighted({"a": 3.0, "f": 0.5})])
def test_over_rounds_pairs_meet_in_the_proportions_of_the_base(base: Uniform | Weighted) -> None:
    """Whatever is in memory: here the last pair drawn, and always ``a``."""
    policy, dice = ResidencyAware(base, FLOOR, stay=10), random.Random(5)
    now, met, switches = situation("a", "b"), Counter[str](), 0
    rounds = 0
    while rounds < 8:
        draw = policy.distribution(now).draw(dice, policy.version)
        key = pair_key(draw.a, draw.b)
        met[key] += 1
        up = {"a", draw.a, draw.b}
        switches += len(up - set(now.reports[0].ready))
        now = replace(now, drawn={**now.drawn, key: now.drawn.get(key, 0) + 1}, reports=(report(*up, capacity=3),))
        if policy.is_over(now):
            now, rounds = replace(now, drawn={}, round=str(rounds), rounds=rounds), rounds + 1
    share = np.array([met[k] for k in now.keys]) / met.total()
    expected = base.distribution(now).p
    assert np.abs(share / expected - 1).max() < 0.25
    assert switches < met.total() / 4
