"""Bradley-Terry by Newton's method: strengths from who beat whom, with intervals that hold when the model is wrong.

A game between i and j with score s (1 i won, 0 j won, 1/2 a tie) has expected score ``1 / (1 + exp(theta_j -
theta_i))``. The prior is a normal one with mean 0 and precision ``prior`` on every theta: it keeps undefeated and
unconnected models finite, and makes the sum of all theta 0. Intervals come from the sandwich ``H^-1 M H^-1``, where
the meat ``M`` sums the squared scores of the games, and counts the prior as one more observation so that a model
without games is not certain.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SCALE = 400 / math.log(10)
CENTRE = 1000.0
Z_95 = 1.959963984540054

_MAX_STEPS = 100
_TOLERANCE = 1e-10


@dataclass(frozen=True, slots=True)
class Count:
    """``games`` games between ``a`` and ``b`` in which ``a`` scored ``score`` each (1, 0.5 or 0)."""

    a: str
    b: str
    score: float
    games: int = 1


@dataclass(frozen=True, slots=True)
class Strength:
    """A model on the Elo scale: mean of all models 1000, 400 points for ten to one."""

    model: str
    rating: float
    lower: float
    upper: float


class NotConverged(ArithmeticError):  # noqa: N818
    """Newton's method did not settle; with a positive prior this means the counts are not counts."""


def fit(counts: Iterable[Count], prior: float) -> list[Strength]:
    """Strengths of every model that occurs, strongest first, with 95 % intervals.

    ``prior`` must be positive. Games of a model against itself are refused with ValueError.
    """
    if prior <= 0:
        raise ValueError("the prior must be positive")
    rows = [c for c in counts if c.games > 0]
    names = sorted({m for c in rows for m in (c.a, c.b)})
    if not names:
        return []
    if any(c.a == c.b for c in rows):
        raise ValueError("a model cannot meet itself")
    index = {m: i for i, m in enumerate(names)}
    a = np.array([index[c.a] for c in rows])
    b = np.array([index[c.b] for c in rows])
    score = np.array([c.score for c in rows], dtype=np.float64)
    games = np.array([c.games for c in rows], dtype=np.float64)
    theta = _newton(a, b, score, games, len(names), prior)
    spread = Z_95 * SCALE * np.sqrt(_variance(theta, a, b, score, games, prior))
    rating = CENTRE + SCALE * theta
    order = np.argsort(-rating, kind="stable")
    return [
        Strength(names[i], float(rating[i]), float(rating[i] - spread[i]), float(rating[i] + spread[i])) for i in order
    ]


Ints = NDArray[np.intp]
Floats = NDArray[np.float64]


def _newton(a: Ints, b: Ints, score: Floats, games: Floats, size: int, prior: float) -> Floats:
    theta = np.zeros(size)
    for _ in range(_MAX_STEPS):
        residual = games * (score - _expected(theta, a, b))
        gradient = np.bincount(a, residual, size) - np.bincount(b, residual, size) - prior * theta
        step = np.linalg.solve(_hessian(theta, a, b, games, prior), gradient)
        theta = theta + step * min(1.0, 4.0 / max(float(np.abs(step).max()), 1e-12))
        if float(np.abs(step).max()) < _TOLERANCE:
            return theta
    raise NotConverged(f"no convergence after {_MAX_STEPS} steps")


def _expected(theta: Floats, a: Ints, b: Ints) -> Floats:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * (theta[a] - theta[b]))))


def _hessian(theta: Floats, a: Ints, b: Ints, games: Floats, prior: float) -> Floats:
    """Made regular in the direction all ratings share, which nothing else here has a component in."""
    p = _expected(theta, a, b)
    size = len(theta)
    return _laplacian(a, b, games * p * (1 - p), size) + prior * np.eye(size) + 1.0 / size


def _variance(theta: Floats, a: Ints, b: Ints, score: Floats, games: Floats, prior: float) -> Floats:
    bread = np.linalg.inv(_hessian(theta, a, b, games, prior))
    squared = games * (score - _expected(theta, a, b)) ** 2
    size = len(theta)
    meat = _laplacian(a, b, squared, size) + prior * (np.eye(size) - 1.0 / size)
    return np.asarray(np.einsum("ij,jk,ki->i", bread, meat, bread))


def _laplacian(a: Ints, b: Ints, weight: Floats, size: int) -> Floats:
    matrix = np.zeros((size, size))
    np.add.at(matrix, (a, a), weight)
    np.add.at(matrix, (b, b), weight)
    np.add.at(matrix, (a, b), -weight)
    np.add.at(matrix, (b, a), -weight)
    return matrix
