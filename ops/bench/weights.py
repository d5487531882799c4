"""Weights for pairs drawn unevenly: realised counts against stored probabilities, and neither against both.

Simulated arenas of twelve models in which neighbours are drawn twenty times as often as others, with tastes that
strengths explain and with tastes that go in circles. Bias is the largest distance of a model's mean estimate from what
endless even voting says; scatter is the mean deviation over the arenas. Points on the Elo scale.
"""

from __future__ import annotations

import argparse

import numpy as np

from ops.bench.report import Row, paired
from web.ratings import weights
from web.ratings.bradley_terry import SCALE, estimate
from web.ratings.tally import Tally, from_votes

_MODELS = tuple(f"m{i:02}" for i in range(12))
_FIRST, _SECOND = np.triu_indices(len(_MODELS), 1)
_STRENGTH = np.linspace(-1, 1, len(_MODELS))
_FAIR = 1 / (1 + np.exp(_STRENGTH[_SECOND] - _STRENGTH[_FIRST]))
_TASTES = {
    "transitive": _FAIR,
    "circular": np.clip(_FAIR + np.where((_SECOND - _FIRST) % 2 == 1, 0.15, -0.15), 0.03, 0.97),
}
_DRAWN = np.where(_SECOND - _FIRST == 1, 20.0, 1.0)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What may be asked of this bench."""
    parser.add_argument("--votes", type=int, default=4000, help="of each arena (%(default)s)")
    parser.add_argument("--runs", type=int, default=400, help="arenas (%(default)s)")


def run(args: argparse.Namespace) -> tuple[str, list[Row]]:
    """The name of the other, and the rows."""
    rows: list[Row] = []
    for name, chance in _TASTES.items():
        found = _estimates(chance, args.votes, args.runs)
        right = _truth(chance)
        bias = {how: float(SCALE * np.abs(f.mean(0) - right).max()) for how, f in found.items()}
        scatter = {how: (SCALE * f.std(0)).tolist() for how, f in found.items()}
        rows += [
            paired(
                f"{name}: scatter, realised against propensity", "points", scatter["realised"], scatter["propensity"]
            ),
            paired(f"{name}: bias, realised against propensity", "points", [bias["realised"]], [bias["propensity"]]),
            paired(f"{name}: bias, realised against none", "points", [bias["realised"]], [bias["none"]]),
        ]
    return "as named in the row", rows


def _estimates(chance: np.ndarray, votes: int, runs: int) -> dict[str, np.ndarray]:
    share = _DRAWN / _DRAWN.sum()
    found: dict[str, list[np.ndarray]] = {"none": [], "propensity": [], "realised": []}
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        pair = rng.choice(len(share), votes, p=share)
        score = (rng.random(votes) < chance[pair]).astype(float)
        plain = from_votes(_MODELS, _FIRST[pair], _SECOND[pair], score)
        weighed = from_votes(_MODELS, _FIRST[pair], _SECOND[pair], score, weights.propensity(share[pair]))
        found["none"].append(estimate(plain).theta)
        found["propensity"].append(estimate(weighed).theta)
        found["realised"].append(estimate(weights.realised(plain)).theta)
    return {how: np.array(thetas) for how, thetas in found.items()}


def _truth(chance: np.ndarray) -> np.ndarray:
    games = np.concatenate([chance, 1 - chance]) * 1e6
    score = np.repeat([1.0, 0.0], len(chance))
    tally = Tally(_MODELS, np.tile(_FIRST, 2), np.tile(_SECOND, 2), score, games, np.ones(len(games)))
    return estimate(tally, 0.0).theta
