"""Tests of one voter against what all votes together say, valid however many votes are looked at and however often.

FastChat (commit 0e6d3e4, ``elo_analysis.outlier_detect``, and arXiv:2403.04132, "detecting anomalous users") multiplies
``1 / (2 p)`` over a user's votes, p being the chance of a score as low (or as high) given the history of the pair, and
flags above ``1 / alpha``. Under the history the product never grows on average, so by Ville's inequality (1939) it
exceeds ``1 / alpha`` with probability alpha at most, ever. Three things are done differently:

* Ties move nothing. There they count as a loss in one direction and a win in the other, although the history has none:
  with them the product does grow for honest voters.
* The score is the favoured model's, not that of whichever name is first, so that a voter who turns every verdict
  around adds up (:func:`contrary`).
* Honest people have tastes. The history is bent by ``tolerance`` towards the suspicion before it is asked for p, so
  that only who goes beyond an honest taste gains.

A voter who has one model win is looked for with the same martingale and a better bet: the likelihood ratio between a
voter who picks the model 19 times of 20, or far more than tolerance explains, and the bent history (:class:`Pull`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]

RIGGED = 0.95
"""How often a rigger's vote goes to the model it is for."""
BEYOND = 1.2
"""Logits beyond the tolerance that the second bet is on."""


@dataclass(frozen=True, slots=True)
class Votes:
    """Votes in order of time, one entry each.

    ``a``, ``b``: indices of the models; ``score``: a's; ``unit``: numbers who cast it. ``theta``: the models' strengths
    (natural scale), NaN where too little is known of a model.
    """

    a: Ints
    b: Ints
    score: Floats
    unit: Ints
    theta: Floats


@dataclass(frozen=True, slots=True)
class Pull:
    """By voter and model, those with any decided vote: how strongly its votes go one way, in nats of evidence.

    ``last``: all votes together; ``peak``: at its highest; ``votes``: how many. ``sign``: 1 for the model, -1 against.
    """

    sign: int
    unit: Ints
    model: Ints
    last: Floats
    peak: Floats
    votes: Ints


def pulls(votes: Votes, tolerance: float) -> tuple[Pull, Pull]:
    """For every model, and against it. Rows in order of voter and model."""
    unit, model, logit, won = looks(votes)
    found = []
    for sign in (1, -1):
        bets = _bets(sign * logit, won if sign > 0 else ~won, tolerance)
        key = unit * len(votes.theta) + model
        groups, last, peak, count = _added(key, bets)
        found.append(Pull(sign, groups // len(votes.theta), groups % len(votes.theta), last, peak, count))
    return found[0], found[1]


def contrary(votes: Votes, tolerance: float) -> tuple[Ints, Floats]:
    """Voters, and FastChat's product at its highest (as a logarithm), of votes against the favourite."""
    fair = _fair(votes)
    lead = votes.theta[votes.a[fair]] - votes.theta[votes.b[fair]]
    upset = (votes.score[fair] == 1.0) == (lead < 0)
    p = np.where(upset, sigmoid(-np.maximum(np.abs(lead) - tolerance, 0.0)), 1.0)
    groups, _, peak, _ = _added(votes.unit[fair], -np.log(2 * p)[None, :])
    return groups, peak


def looks(votes: Votes) -> tuple[Ints, Ints, Floats, Bools]:
    """Each decided vote from both its models: voter, model, the model's lead in logits, whether it won."""
    fair = _fair(votes)
    a, b, score, unit = votes.a[fair], votes.b[fair], votes.score[fair], votes.unit[fair]
    lead = votes.theta[a] - votes.theta[b]
    both = np.stack([np.stack([unit, unit]), np.stack([a, b])]).transpose(0, 2, 1).reshape(2, -1)
    won = np.stack([score == 1.0, score == 0.0], axis=1).ravel()
    return both[0], both[1], np.stack([lead, -lead], axis=1).ravel(), won


def sigmoid(x: Floats) -> Floats:
    """The chance of a win at a lead of x."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)))


def _fair(votes: Votes) -> Bools:
    known = ~np.isnan(votes.theta)
    return np.asarray((votes.score != 0.5) & known[votes.a] & known[votes.b])


def _bets(logit: Floats, won: Bools, tolerance: float) -> Floats:
    """``(bets, looks)``: what each bet gains by each look, a logarithm."""
    honest = sigmoid(logit + tolerance)
    return np.stack(
        [ratio(won, np.maximum(honest, RIGGED), honest), ratio(won, sigmoid(logit + tolerance + BEYOND), honest)]
    )


def ratio(won: Bools, rigged: Floats, honest: Floats) -> Floats:
    """Logarithm of the likelihood ratio of each outcome."""
    return np.where(won, np.log(rigged / honest), np.log((1 - rigged) / (1 - honest)))


def _added(key: Ints, gains: Floats) -> tuple[Ints, Floats, Floats, Ints]:
    """By key: the bets' mean capital (a logarithm) at the end and at its highest, and how many looks there were."""
    if not len(key):
        return key, np.zeros(0), np.zeros(0), key
    order = np.argsort(key, kind="stable")
    groups, first, count = np.unique(key[order], return_index=True, return_counts=True)
    total = np.cumsum(gains[:, order], axis=1)
    before = np.where(first > 0, total[:, first - 1], 0.0)
    capital = total - np.repeat(before, count, axis=1)
    logs = np.logaddexp.reduce(capital, axis=0) - np.log(len(gains))
    last = logs[first + count - 1]
    return groups, last, np.maximum(np.maximum.reduceat(logs, first), 0.0), count


def occurrence(key: Ints) -> Ints:
    """Of each entry, how many equal ones come before it."""
    order = np.argsort(key, kind="stable")
    _, first, count = np.unique(key[order], return_index=True, return_counts=True)
    found = np.empty(len(key), dtype=np.intp)
    found[order] = np.arange(len(key)) - np.repeat(first, count)
    return found
