"""Who is found: riggers of every kind that the rules are for, and hardly ever honest people."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.bench.attack.honest import Log, People, honest_day
from ops.bench.attack.rig import Attack, Rigger, campaign
from ops.bench.sampling.truth import Truth
from web.arena.integrity.ballots import Ballots
from web.arena.integrity.judgement import Judgement, judge
from web.arena.integrity.rules import Rules
from web.arena.integrity.sequential import Votes, contrary, pulls

MODELS = 10


@cache
def attacked(kind: str, addresses: int, rigged: int, honest: int = 3000, seed: int = 1) -> tuple[Log, Ballots, int]:
    """Honest votes, then rigged ones, each followed by an honest one; the target is the middle model."""
    truth, log = Truth.transitive(MODELS, seed), Log()
    people = People(truth, log, np.random.default_rng([seed, 1]))
    for _ in range(honest):
        people.vote()
    order = np.argsort(-truth.rating)
    target = int(order[MODELS // 2])
    rigger = Rigger(truth, order, target, Attack(kind, addresses, 3), log, np.random.default_rng([seed, 2]))
    for _ in range(rigged):
        rigger.vote()
        people.vote()
    return log, log.ballots(truth.models), target


def counted(ballots: Ballots, found: Judgement) -> np.ndarray:
    return ~(np.isin(ballots.session, list(found.apart)) | np.isin(ballots.id, list(found.ring | found.burst)))


@pytest.mark.parametrize(("kind", "addresses"), [("target", 1), ("target", 10), ("fresh", 1), ("silent", 10)])
def test_hardly_any_vote_of_a_rigger_for_the_target_counts(kind: str, addresses: int) -> None:
    log, ballots, target = attacked(kind, addresses, 1500)
    found = judge(ballots, Rules())
    rigged, stays = np.array(log.rigged), counted(ballots, found)
    assert (stays & rigged & ballots.on(target)).sum() <= 0.15 * (rigged & ballots.on(target)).sum()
    honest = np.unique(ballots.session[~rigged])
    assert np.isin(honest, list(found.apart)).mean() < 0.01
    assert (~stays & ~rigged).sum() < 0.05 * (~rigged).sum()


def test_many_hands_with_a_few_votes_each_are_a_burst() -> None:
    log, ballots, target = attacked("silent", 100, 350)
    found = judge(ballots, Rules())
    rigged = np.array(log.rigged)
    assert (counted(ballots, found) & rigged).sum() < 0.5 * rigged.sum()
    assert set(ballots.id[~rigged & ballots.on(target)].tolist()) & found.burst, (
        "honest newcomers' votes too: both ways"
    )
    assert all(ballots.on(target)[list(found.burst)]), "and no votes on other models"


def test_honest_people_with_tastes_and_favourites_are_left_alone() -> None:
    days = [honest_day(MODELS, 6000, Rules(), seed) for seed in range(3)]
    assert sum(day.apart for day in days) / 3 < 0.01
    assert sum(day.votes_out for day in days) / 3 < 0.01


@settings(max_examples=8, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_in_which_votes_are_given_does_not_matter(dice: object) -> None:
    _, ballots, _ = attacked("target", 10, 400, honest=800)
    shuffled = list(range(len(ballots.id)))
    dice.shuffle(shuffled)  # type: ignore[attr-defined]
    assert judge(ballots.take(np.array(shuffled)), Rules()) == judge(ballots, Rules())


def test_nobody_is_judged_by_models_nobody_knows() -> None:
    _, ballots, _ = attacked("target", 1, 1500)
    few = ballots.take(np.flatnonzero(np.array(attacked("target", 1, 1500)[0].rigged))[:40])
    assert judge(few, Rules()) == Judgement({}, frozenset(), frozenset())
    assert judge(few.take(np.zeros(0, dtype=np.intp)), Rules()).apart == {}


def test_what_an_operator_trusts_is_not_found() -> None:
    log, ballots, _ = attacked("target", 1, 1500)
    mine = np.array(log.rigged)
    trusted = Ballots(
        ballots.models, ballots.id, ballots.at, ballots.a, ballots.b, ballots.score, ballots.session, ballots.place,
        ballots.out, mine,
    )  # fmt: skip
    found = judge(trusted, Rules())
    assert not set(found.apart) & set(ballots.session[mine].tolist())
    assert counted(trusted, found)[mine].all()


def test_an_honest_voters_capital_does_not_grow_whatever_their_taste_within_the_tolerance() -> None:
    """The mean of exp(capital) is at most 1: Ville's inequality then bounds how often it is ever high."""
    dice = np.random.default_rng(3)
    voters, each, taste = 20_000, 6, 0.7
    unit = np.repeat(np.arange(voters), each)
    wins = dice.random(len(unit)) < 1 / (1 + np.exp(-(0.5 + taste)))
    votes = Votes(np.zeros_like(unit), np.ones_like(unit), wins.astype(float), unit, np.array([0.5, 0.0]))
    up, _ = pulls(votes, taste)
    capital = np.exp(up.last[up.model == 0])
    assert capital.mean() < 1 + 4 * capital.std() / np.sqrt(voters)
    assert (np.exp(up.peak[up.model == 0]) >= 20).mean() <= 0.05


def test_whoever_turns_every_verdict_around_is_found_and_ties_move_nothing() -> None:
    theta = np.array([2.0, 0.0])
    unit = np.repeat([0, 1, 2], 30)
    score = np.repeat([0.0, 1.0, 0.5], 30)
    units, peak = contrary(Votes(np.zeros_like(unit), np.ones_like(unit), score, unit, theta), 0.7)
    assert units.tolist() == [0, 1]
    assert peak[0] > np.log(1000)
    assert peak[1] == 0.0


@pytest.mark.long
@pytest.mark.parametrize(("kind", "addresses"), [("target", 1), ("target", 10), ("fresh", 1), ("fresh", 10)])
def test_rigging_takes_ten_times_the_votes(kind: str, addresses: int) -> None:
    found = campaign(20, 20_000, Attack(kind, addresses), 10.5, seed=4)
    assert found.votes_on >= 10 * found.votes_off
    assert found.honest_apart < 0.01
