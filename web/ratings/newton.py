"""The maximum of the Bradley-Terry likelihood, for one set of games or for many resamples of it at once.

Newton's method with halving: the likelihood is concave, so no step can lead it astray, and a hundred models take six
steps of one small linear system (Hunter 2004 compares it with minorisation). Everything is in matrices over pairs of
models, so the cost does not depend on the number of votes.
"""

from __future__ import annotations

import numpy as np

from web.ratings.tally import Floats, Pairs

_MAX_STEPS = 100
_MAX_HALVINGS = 40
_TOLERANCE = 1e-10


class NotConverged(ArithmeticError):  # noqa: N818
    """Newton's method did not settle; with a positive prior this means the counts are not counts."""


def maximise(pairs: Pairs, prior: float, start: Floats | None = None) -> Floats:
    """The maximum for one set of pairs ``(models,)``, or for a stack of them at once ``(samples, models)``.

    Raises NotConverged.
    """
    shape = pairs.games.shape[:-1]
    theta = np.zeros(shape) if start is None else np.broadcast_to(start, shape).copy()
    if not shape[-1]:
        return theta
    value = _likelihood(theta, pairs, prior)
    for _ in range(_MAX_STEPS):
        expected = expectation(theta)
        gradient = (pairs.points - pairs.games * expected).sum(-1) - prior * theta
        step = np.linalg.solve(hessian(pairs.games, expected, prior), gradient[..., None])[..., 0]
        largest = np.abs(step).max(-1, keepdims=True)
        step *= np.minimum(1.0, 4.0 / np.maximum(largest, 1e-12))
        theta, value = _climb(theta, step, value, pairs, prior)
        if float(largest.max()) < _TOLERANCE:
            return np.asarray(theta - theta.mean(-1, keepdims=True))
    raise NotConverged(f"no convergence after {_MAX_STEPS} steps")


def _climb(theta: Floats, step: Floats, value: Floats, pairs: Pairs, prior: float) -> tuple[Floats, Floats]:
    """The step, halved for whoever it would lead downhill by more than rounding."""
    slack = 1e-9 * (1.0 + np.abs(value))
    for _ in range(_MAX_HALVINGS):
        there = theta + step
        reached = _likelihood(there, pairs, prior)
        worse = reached < value - slack
        if not worse.any():
            return there, reached
        step = np.where(worse[..., None], step / 2, step)
    raise NotConverged("no step leads uphill")


def expectation(theta: Floats) -> Floats:
    """Expected score of i against j: ``(..., models, models)``."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * (theta[..., :, None] - theta[..., None, :]))))


def hessian(games: Floats, expected: Floats, prior: float) -> Floats:
    """Minus the second derivative, made regular in the direction all ratings share, in which nothing here points.

    What is added there is as large as the rest: rounding must not be amplified in that direction.
    """
    size = games.shape[-1]
    curvature = laplacian(games * expected * (1 - expected))
    usual = np.trace(curvature, axis1=-2, axis2=-1) / size + prior
    return np.asarray(curvature + prior * np.eye(size) + (usual / size)[..., None, None])


def _likelihood(theta: Floats, pairs: Pairs, prior: float) -> Floats:
    apart = theta[..., :, None] - theta[..., None, :]
    logs = -np.logaddexp(0.0, -apart)
    return np.asarray((pairs.points * logs).sum((-1, -2)) - 0.5 * prior * (theta**2).sum(-1))


def laplacian(weight: Floats) -> Floats:
    """Of a symmetric matrix of edge weights, or a stack of them: row sums on the diagonal, the rest negated."""
    size = weight.shape[-1]
    out = -weight
    out[..., range(size), range(size)] += weight.sum(-1)
    return out
