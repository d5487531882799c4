"""One board's recipe, the same for the records worker, the export and ``python -m web.ratings``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from web.ratings import weights
from web.ratings.bradley_terry import PRIOR, estimate
from web.ratings.intervals import Kind
from web.ratings.standings import Order, Standing, table
from web.ratings.tally import Floats, from_votes

BothBad = Literal["tie", "drop"]
_DIFFERENT = 1.01
"""Probabilities further apart than this factor were not drawn evenly."""


@dataclass(frozen=True, slots=True)
class Method:
    """How a board is made.

    ``weights``: see :mod:`web.ratings.weights`; ``auto`` is ``realised`` when the votes carry probabilities that
    differ, and ``none`` otherwise. ``both_bad``: count such a vote as a tie (neither was better) or not at all.
    ``order``: by rating or by the lower bound. ``samples`` and ``seed`` are the bootstrap's.
    """

    prior: float = PRIOR
    weights: weights.Weighting | Literal["auto"] = "auto"
    interval: Kind = "sandwich"
    both_bad: BothBad = "tie"
    order: Order = "rating"
    samples: int = 100
    seed: int = 0

    def __str__(self) -> str:
        """Short, for the snapshot's ``method``."""
        return f"bradley-terry, prior {self.prior:g}, weights {self.weights}, {self.interval}"


@dataclass(frozen=True, slots=True)
class Columns:
    """Counted votes, one entry each: indices into ``models``, the outcome 0 a, 1 b, 2 tie, 3 both bad, and optionally
    the pair's probability (NaN: not known) and a number for who voted.
    """

    models: tuple[str, ...]
    a: ArrayLike
    b: ArrayLike
    outcome: ArrayLike
    probability: Floats | None = None
    voter: ArrayLike | None = None


OUTCOMES = ("a", "b", "tie", "both_bad")
_SCORE = np.array([1.0, 0.0, 0.5, 0.5])


def board(votes: Columns, method: Method) -> list[Standing]:
    """The board of these votes. The order of the votes and of the models changes nothing.

    Raises ValueError, when ``propensity`` weights are asked for and a probability is not known, when intervals by
    voter are asked for without voters, and as :func:`web.ratings.bradley_terry.estimate` does.
    """
    a, b, outcome = np.asarray(votes.a), np.asarray(votes.b), np.asarray(votes.outcome)
    probability, voter = votes.probability, None if votes.voter is None else np.asarray(votes.voter)
    if method.both_bad == "drop":
        kept = outcome != OUTCOMES.index("both_bad")
        a, b, outcome = a[kept], b[kept], outcome[kept]
        probability = None if probability is None else probability[kept]
        voter = None if voter is None else voter[kept]
    models, (a, b) = _by_name(votes.models, a, b)
    how = _chosen(method, probability)
    each = None
    if how == "propensity":
        if probability is None or np.isnan(probability).any():
            raise ValueError("weights by propensity need every vote's probability")
        each = weights.propensity(probability)
    tally = from_votes(models, a, b, _SCORE[outcome], each, voter if method.interval == "clustered" else None)
    if how == "realised":
        tally = weights.realised(tally)
    found = estimate(tally, method.prior, interval=method.interval, samples=method.samples, seed=method.seed)
    return table(tally, found, method.order)


def _chosen(method: Method, probability: Floats | None) -> weights.Weighting:
    if method.weights != "auto":
        return method.weights
    known = np.zeros(0) if probability is None else probability[~np.isnan(probability)]
    return "realised" if len(known) and known.max() > known.min() * _DIFFERENT else "none"


def _by_name(models: tuple[str, ...], *columns: NDArray[Any]) -> tuple[tuple[str, ...], list[NDArray[Any]]]:
    """Models that occur, in the order of their names, and the columns renumbered."""
    seen = np.zeros(len(models), dtype=bool)
    for column in columns:
        seen[column] = True
    order = sorted(np.flatnonzero(seen).tolist(), key=lambda i: models[i])
    number = np.zeros(len(models), dtype=np.intp)
    number[order] = np.arange(len(order))
    return tuple(models[i] for i in order), [number[column] for column in columns]
