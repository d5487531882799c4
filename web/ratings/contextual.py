"""Style control: strengths with the effect of an answer's form taken out.

Contextual Bradley-Terry as in FastChat's ``fit_contextual_bt`` (Li, Angelopoulos and Chiang, "Does style matter?",
LMSYS 2024): ``logit P(a wins) = theta_a - theta_b + x . beta``, where ``x`` are differences of tokens, headers, list
items and bold spans, each ``(a - b) / (a + b + 1)`` over its deviation, as FastChat does. FastChat also subtracts the
mean; we do not, so that swapping sides changes nothing and ratings are those of two answers alike in form. With sides
drawn by a coin that mean is 0 anyway. Newton instead of L-BFGS; sandwich intervals over single votes; the prior also
holds ``beta``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from web.ratings.bradley_terry import PRIOR, Z_95, Estimate
from web.ratings.features import STYLE
from web.ratings.newton import NotConverged
from web.ratings.tally import Floats, Ints

_MAX_STEPS = 50
_MAX_HALVINGS = 30
_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Controlled:
    """``effects``: of one deviation more of each of STYLE on the logit, with 95 % bounds ``(3, features)``."""

    estimate: Estimate
    effects: Floats

    def named(self) -> dict[str, tuple[float, float, float]]:
        """Effect, lower and upper bound by name."""
        return {name: (float(e), float(lo), float(hi)) for name, (e, lo, hi) in zip(STYLE, self.effects.T, strict=True)}


def control(
    models: tuple[str, ...],
    a: Ints,
    b: Ints,
    score: Floats,
    style: Floats,
    weight: Floats | None = None,
    prior: float = PRIOR,
) -> Controlled:
    """One entry per vote; ``style`` is ``(votes, features)`` as :func:`web.ratings.method.difference` makes it.

    Votes whose style is not known count as those of answers alike in form.
    Raises ValueError for a prior that is not positive, NotConverged.
    """
    if not 0 < prior < np.inf:
        raise ValueError("style control needs a positive prior")
    size, x = len(models), _normalised(np.asarray(style, dtype=np.float64))
    each = np.ones(len(a)) if weight is None else weight
    beta = np.zeros(size + x.shape[1])
    value = _value(beta, a, b, score, x, each, prior, size)
    for _ in range(_MAX_STEPS):
        expected = _expected(beta, a, b, x, size)
        gradient = _scores(a, b, x, each * (score - expected), size) - prior * beta
        curvature = _outer(a, b, x, each * expected * (1 - expected), size) + prior * np.eye(len(beta))
        step = np.asarray(np.linalg.solve(curvature, gradient), dtype=np.float64)
        beta, value = _climb(beta, step, value, lambda t: _value(t, a, b, score, x, each, prior, size))
        if float(np.abs(step).max(initial=0)) < _TOLERANCE:
            break
    else:
        raise NotConverged(f"no convergence after {_MAX_STEPS} steps")
    residual = each * (score - _expected(beta, a, b, x, size))
    centred = np.eye(len(beta))
    centred[:size, :size] -= 1.0 / max(size, 1)
    bread = np.linalg.inv(curvature)
    meat = _outer(a, b, x, residual**2, size) + prior * centred
    spread = Z_95 * np.sqrt(np.einsum("ij,jk,ki->i", bread, meat, bread))
    theta, rest = beta[:size] - (beta[:size].mean() if size else 0), beta[size:]
    effects = np.stack([rest, rest - spread[size:], rest + spread[size:]])
    return Controlled(Estimate(models, theta, theta - spread[:size], theta + spread[:size]), effects)


def _normalised(style: Floats) -> Floats:
    """Mean square 1; what is not known is no difference, what never differs stays 0."""
    known = ~np.isnan(style)
    difference = np.where(known, style, 0.0)
    deviation = np.sqrt((difference**2).sum(0) / np.maximum(known.sum(0), 1))
    return np.asarray(np.divide(difference, deviation, out=np.zeros_like(difference), where=deviation > 1e-12))


def _expected(beta: Floats, a: Ints, b: Ints, x: Floats, size: int) -> Floats:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * (beta[a] - beta[b] + x @ beta[size:]))))


def _value(beta: Floats, a: Ints, b: Ints, score: Floats, x: Floats, weight: Floats, prior: float, size: int) -> float:
    logit = beta[a] - beta[b] + x @ beta[size:]
    likelihood = score * logit - np.logaddexp(0, logit)
    return float(weight @ likelihood - 0.5 * prior * (beta**2).sum())


def _scores(a: Ints, b: Ints, x: Floats, residual: Floats, size: int) -> Floats:
    return np.concatenate([np.bincount(a, residual, size) - np.bincount(b, residual, size), residual @ x])


def _outer(a: Ints, b: Ints, x: Floats, weight: Floats, size: int) -> Floats:
    """Weighted sum of the outer products of the design's rows, which are +1 at a, -1 at b and x behind."""
    out = np.zeros((size + x.shape[1],) * 2)
    met = np.bincount(a * size + b, weight, size * size).reshape(size, size)
    met = met + met.T
    out[:size, :size] = np.diag(met.sum(1)) - met
    for column in range(x.shape[1]):
        with_x = weight * x[:, column]
        cross = np.bincount(a, with_x, size) - np.bincount(b, with_x, size)
        out[:size, size + column] = out[size + column, :size] = cross
    out[size:, size:] = (x * weight[:, None]).T @ x
    return out


def _climb(beta: Floats, step: Floats, value: float, measure: Callable[[Floats], float]) -> tuple[Floats, float]:
    slack = 1e-9 * (1.0 + abs(value))
    for _ in range(_MAX_HALVINGS):
        reached = measure(beta + step)
        if reached >= value - slack:
            return beta + step, reached
        step = step / 2
    raise NotConverged("no step leads uphill")
