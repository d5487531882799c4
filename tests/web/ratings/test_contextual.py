from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from web.ratings.bradley_terry import estimate
from web.ratings.contextual import control
from web.ratings.elo import apart, elo
from web.ratings.tally import from_votes

MODELS = ("w", "x", "y", "z")
TRUE = np.array([0.6, 0.2, -0.2, -0.6])
EFFECT = np.array([0.8, 0.0, -0.4, 0.0])
CHATTY = np.array([-0.5, 0.0, 0.0, 0.5])
"""The weakest model writes the most."""


def simulated(seed: int, votes: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 4, votes)
    b = (a + rng.integers(1, 4, votes)) % 4
    style = rng.normal(0, 0.3, (votes, 4))
    style[:, 0] += CHATTY[a] - CHATTY[b]
    scaled = style / np.sqrt((style**2).mean(0))
    won = rng.random(votes) < 1 / (1 + np.exp(-(TRUE[a] - TRUE[b] + scaled @ EFFECT)))
    return {"models": MODELS, "a": a, "b": b, "score": won.astype(float), "style": style}


def test_strengths_and_effects_are_found_where_the_plain_fit_is_misled() -> None:
    votes = simulated(1, 40_000)
    found = control(**votes)
    assert found.estimate.theta == pytest.approx(TRUE, abs=0.05)
    assert found.effects[0] == pytest.approx(EFFECT, abs=0.05)
    plain = estimate(from_votes(MODELS, votes["a"], votes["b"], votes["score"]))
    assert np.abs(plain.theta - TRUE).max() > 0.2


def test_intervals_hold_strengths_and_effects() -> None:
    inside = []
    for seed in range(100):
        found = control(**simulated(seed, 1500))
        inside += list((found.estimate.lower <= TRUE) & (found.estimate.upper >= TRUE))
        inside += list((found.effects[1] <= EFFECT) & (found.effects[2] >= EFFECT))
    assert 0.92 < np.mean(inside) < 0.98


def test_swapping_sides_changes_nothing() -> None:
    votes = simulated(2, 500)
    turned = votes | {"a": votes["b"], "b": votes["a"], "score": 1 - votes["score"], "style": -votes["style"]}
    one, other = control(**votes), control(**turned)
    assert one.estimate.theta == pytest.approx(other.estimate.theta)
    assert one.effects == pytest.approx(other.effects)


def test_without_differences_in_form_it_is_the_plain_estimate() -> None:
    votes = simulated(3, 500) | {"style": np.zeros((500, 4))}
    plain = estimate(from_votes(MODELS, votes["a"], votes["b"], votes["score"]))
    found = control(**votes).estimate
    for mine, theirs in ((found.theta, plain.theta), (found.lower, plain.lower), (found.upper, plain.upper)):
        assert mine == pytest.approx(theirs, abs=1e-6)


def test_unknown_style_is_no_difference() -> None:
    votes = simulated(4, 500)
    votes["style"][:100] = np.nan
    zero = votes["style"].copy()
    zero[:100] = 0
    known = np.sqrt(400 / 500)  # unknown ones do not enter the deviation
    one, other = control(**votes), control(**votes | {"style": zero})
    assert one.estimate.theta == pytest.approx(other.estimate.theta, abs=0.01)
    assert one.effects[0] == pytest.approx(other.effects[0] / known, abs=0.01)


def test_separable_votes_stay_finite_and_a_prior_is_required() -> None:
    votes = simulated(5, 50)
    votes["score"] = (votes["style"][:, 0] > 0).astype(float)
    assert np.isfinite(control(**votes).effects).all()
    with pytest.raises(ValueError, match="prior"):
        control(**votes, prior=0.0)


def test_elo_goes_where_bradley_terry_is_but_never_settles() -> None:
    votes = simulated(6, 30_000)
    games = [(MODELS[a], MODELS[b], s) for a, b, s in zip(votes["a"], votes["b"], votes["score"], strict=True)]
    exact = estimate(from_votes(MODELS, votes["a"], votes["b"], votes["score"]))
    assert apart(elo(games), exact) < 60
    assert elo(games) != elo(games[::-1])


def test_elo_takes_one_game_as_the_textbook_says() -> None:
    assert elo([("x", "y", 1.0)], k=32) == {"x": 1016.0, "y": 984.0}
