"""How sure the ratings are: four ways to 95 % intervals.

``sandwich``: ``H^-1 M H^-1`` (Huber 1967; White 1982), which holds when Bradley-Terry does not: the meat ``M`` sums the
squared scores of single votes, never the square of a row's sum. When the weights come from realised counts, a pair's
total weight is fixed, so only the scatter around the pair's own mean counts (Holt and Smith 1979).
``clustered``: the same with each voter's scores summed first (Liang and Zeger 1986), since a person's votes are alike.
``model``: ``H^-1``, right only where every assumption is. For comparison.
``bootstrap``: percentiles over resampled votes, drawn as multinomial counts of equal rows (Efron 1979; FastChat's
compute_bootstrap_bt does so too), all resamples fitted at once.
"""

from __future__ import annotations

import itertools
from typing import Literal

import numpy as np

from web.ratings.newton import expectation, hessian, laplacian, maximise
from web.ratings.tally import Floats, Pairs, Tally

Kind = Literal["sandwich", "clustered", "model", "bootstrap"]
Z_95 = 1.959963984540054
_BATCH_CELLS = 4_000_000
"""Numbers held at once while resampling; bounds the memory, not the result."""


def variance(tally: Tally, theta: Floats, prior: float, kind: Kind) -> Floats:
    """Of each theta: ``(models,)``. The prior counts as one more observation: no games is not certainty."""
    size = tally.size
    if not size:
        return np.zeros(0)
    bread = np.linalg.inv(hessian(tally.pairs().games, expectation(theta), prior))
    centred = np.eye(size) - 1.0 / size
    if kind == "model":
        return np.asarray(np.einsum("ij,ji->i", bread, centred))
    meat = _clustered(tally, theta) if kind == "clustered" else laplacian(_squares(tally, theta))
    return np.asarray(np.einsum("ij,jk,ki->i", bread, meat + prior * centred, bread))


def bootstrap(tally: Tally, theta: Floats, prior: float, samples: int, seed: int) -> tuple[Floats, Floats]:
    """2.5 and 97.5 percentiles of the resampled fits, each started where the real one ended.

    Percentiles as Weibull defines them (Hyndman and Fan 1996, type 6): of few resamples, others come out too narrow.
    """
    fits = resampled(tally, theta, prior, samples, seed)
    return np.quantile(fits, 0.025, axis=0, method="weibull"), np.quantile(fits, 0.975, axis=0, method="weibull")


def resampled(tally: Tally, theta: Floats, prior: float, samples: int, seed: int) -> Floats:
    """The fits of ``samples`` resamples: ``(samples, models)``. The same seed gives the same numbers.

    A model that a resample lost all games of is held by a trace of the prior, also where the fit had none.
    """
    if not tally.size:
        return np.zeros((samples, 0))
    rng = np.random.default_rng(seed)
    total = round(tally.total)
    share = tally.games / tally.total
    batch = max(1, _BATCH_CELLS // max(len(share), tally.size**2))
    found = []
    for begin in range(0, samples, batch):
        drawn = rng.multinomial(total, share, size=min(batch, samples - begin)).astype(np.float64)
        found.append(maximise(_reweighted(tally, drawn), max(prior, 1e-6), theta))
    return np.concatenate(found)


def _reweighted(tally: Tally, drawn: Floats) -> Pairs:
    """Weights made from counts are made anew from a resample's: their scatter is part of the estimate's."""
    if not tally.stratified:
        return tally.pairs(drawn)
    pairs, plain = tally.pairs(drawn), tally.matrix(drawn)
    votes = plain + plain.swapaxes(-1, -2)
    target = tally.pairs().games
    factor = np.divide(target, pairs.games, out=np.ones_like(pairs.games), where=(pairs.games > 0) & (votes > 1))
    return Pairs(pairs.games * factor, pairs.points * factor)


def _expected(tally: Tally, theta: Floats) -> Floats:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * (theta[tally.a] - theta[tally.b]))))


def _squares(tally: Tally, theta: Floats) -> Floats:
    """Squared scores of single votes summed by unordered pair: ``(models, models)``."""
    squared = (tally.score - _expected(tally, theta)) ** 2
    if tally.stratified:
        plain = tally.matrix(tally.games)
        won = tally.matrix(tally.games * tally.score)
        votes = plain + plain.T
        points = won + (plain - won).T
        n = votes[tally.a, tally.b]
        own = (tally.score - points[tally.a, tally.b] / n) ** 2 * n / np.maximum(n - 1, 1)
        squared = np.where(n > 1, own, squared)
    ordered = tally.matrix(tally.games * tally.weight**2 * squared)
    return np.asarray(ordered + ordered.T)


def _clustered(tally: Tally, theta: Floats) -> Floats:
    """Sum over voters of the outer product of their summed scores, times ``C / (C - 1)`` for C voters."""
    if tally.voter is None:
        raise ValueError("intervals by voter need to know who voted")
    score = tally.games * tally.weight * (tally.score - _expected(tally, theta))
    voters, who = np.unique(tally.voter, return_inverse=True)
    meat = np.zeros((tally.size, tally.size))
    batch = max(1, _BATCH_CELLS // tally.size)
    order = np.argsort(who, kind="stable")
    edges = np.searchsorted(who[order], np.arange(0, len(voters) + batch, batch))
    for n, (begin, end) in enumerate(itertools.pairwise(edges)):
        rows = order[begin:end]
        base = (who[rows] - n * batch) * tally.size
        cells = batch * tally.size
        summed = np.bincount(base + tally.a[rows], score[rows], cells) - np.bincount(
            base + tally.b[rows], score[rows], cells
        )
        per_voter = summed.reshape(batch, tally.size)
        meat += per_voter.T @ per_voter
    return meat * (len(voters) / max(len(voters) - 1, 1))
