"""FastChat's Bradley-Terry with bootstrap intervals, written again from its description, to be measured against.

The method of ``fastchat/serve/monitor/rating_systems.py`` at 0e6d3e4: equal (a, b, outcome) rows are found with
``np.unique`` and counted; each bootstrap draws the counts from one multinomial and fits them from zero by L-BFGS-B
(gtol 1e-6, at most 100 steps) in a pool of as many processes as there are cores; the interval is the percentiles'.
Needs scipy, which the product does not.
"""

from __future__ import annotations

import math
import multiprocessing
import os
from functools import partial

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

_ALPHA = math.log(10)
_SIGNS = np.array([1.0, -1.0])


def compress(a: np.ndarray, b: np.ndarray, outcome: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Different rows, their outcomes 0, 0.5 or 1, and how often each occurs. ``outcome`` is 0, 1 or 2."""
    schedule = np.column_stack([a, b, outcome]).astype(np.int32)
    rows, counts = np.unique(schedule, return_counts=True, axis=0)
    return rows[:, :2], rows[:, 2] / 2.0, counts.astype(np.float64)


def _loss(ratings: np.ndarray, matchups: np.ndarray, outcomes: np.ndarray, weights: np.ndarray):
    sides = ratings[matchups]
    probs = expit(_ALPHA * (sides[:, 0] - sides[:, 1]))
    loss = -((np.log(probs) * outcomes + np.log(1.0 - probs) * (1.0 - outcomes)) * weights).sum()
    gradient = np.zeros_like(ratings)
    np.add.at(gradient, matchups, (-_ALPHA * (outcomes - probs) * weights)[:, None] * _SIGNS)
    return loss, gradient


def fit(matchups: np.ndarray, outcomes: np.ndarray, models: int, weights: np.ndarray) -> np.ndarray:
    """One fit; times 400 it is on the Elo scale."""
    options = {"maxiter": 100, "gtol": 1e-6}
    found = minimize(
        _loss, np.zeros(models), args=(matchups, outcomes, weights), jac=True, method="L-BFGS-B", options=options
    )
    return found.x


def bootstrap(a: np.ndarray, b: np.ndarray, outcome: np.ndarray, models: int, rounds: int = 100) -> np.ndarray:
    """Median and 95 % percentiles of ``rounds`` resampled fits, on the Elo scale: ``(3, models)``."""
    matchups, outcomes, counts = compress(a, b, outcome)
    total = len(a)
    drawn = np.random.default_rng(0).multinomial(total, counts / counts.sum(), size=rounds)
    one = partial(fit, matchups, outcomes, models)
    with multiprocessing.get_context("fork").Pool(os.cpu_count()) as pool:
        ratings = np.array(list(pool.imap_unordered(one, drawn.astype(np.float64) / total)))
    return np.quantile(ratings * 400 + 1000, (0.5, 0.025, 0.975), axis=0)
