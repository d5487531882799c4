"""One board's recipe, the same for the records worker, the export and ``python -m web.ratings``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from web.ratings import weights
from web.ratings.bradley_terry import PRIOR, estimate
from web.ratings.contextual import control
from web.ratings.features import STYLE
from web.ratings.intervals import Kind
from web.ratings.standings import Order, Standing, table
from web.ratings.tally import Floats, Tally, from_votes

BothBad = Literal["tie", "drop"]
_DIFFERENT = 1.01
"""Probabilities further apart than this factor were not drawn evenly."""


@dataclass(frozen=True, slots=True)
class Method:
    """How a board is made.

    ``weights``: see :mod:`web.ratings.weights`; ``auto`` is ``realised`` when the votes carry probabilities that
    differ, and ``none`` otherwise. ``both_bad``: count such a vote as a tie (neither was better) or not at all.
    ``order``: by rating or by the lower bound. ``samples`` and ``seed`` are the bootstrap's. ``style``: with the
    effect of the answers' form taken out, and always with plain sandwich intervals.
    """

    prior: float = PRIOR
    weights: weights.Weighting | Literal["auto"] = "auto"
    interval: Kind = "sandwich"
    both_bad: BothBad = "tie"
    order: Order = "rating"
    samples: int = 100
    seed: int = 0
    style: bool = False

    def __str__(self) -> str:
        """Short, for the snapshot's ``method``."""
        style = ", style controlled" if self.style else ""
        return f"bradley-terry, prior {self.prior:g}, weights {self.weights}, {self.interval}{style}"


@dataclass(frozen=True, slots=True)
class Columns:
    """Counted votes, one entry each: indices into ``models``, the outcome 0 a, 1 b, 2 tie, 3 both bad, and optionally
    the pair's probability (NaN: not known), a number for who voted, and differences of style ``(votes, features)``.
    """

    models: tuple[str, ...]
    a: ArrayLike
    b: ArrayLike
    outcome: ArrayLike
    probability: Floats | None = None
    voter: ArrayLike | None = None
    style: Floats | None = None
    reasons: tuple[tuple[str, ...], ...] = ()
    """Of each vote that does not count, and is not in the columns, why."""

    def take(self, chosen: NDArray[np.bool_]) -> Columns:
        """Only the ``chosen`` votes."""
        a, b, outcome = (np.asarray(column)[chosen] for column in (self.a, self.b, self.outcome))
        probability, voter, style = (
            None if column is None else np.asarray(column)[chosen]
            for column in (self.probability, self.voter, self.style)
        )
        return Columns(self.models, a, b, outcome, probability, voter, style, self.reasons)


Places = NDArray[np.intp]
OUTCOMES = ("a", "b", "tie", "both_bad")
WHOLE = ("overall", "style_control")
"""Boards of all counted votes."""
_SCORE = np.array([1.0, 0.0, 0.5, 0.5])


def board(votes: Columns, method: Method) -> list[Standing]:
    """The board of these votes. The order of the votes and of the models changes nothing.

    Raises ValueError, when ``propensity`` weights are asked for and a probability is not known, when intervals by
    voter are asked for without voters or style control without style, and as the estimators do.
    """
    votes = _games(votes, method)
    tally = tallied(votes, method)
    if not method.style:
        found = estimate(tally, method.prior, interval=method.interval, samples=method.samples, seed=method.seed)
        return table(tally, found, method.order)
    if votes.style is None or np.isnan(votes.style).all():
        raise ValueError("style control needs votes that know the style of their answers")
    _, a, b = _by_name(votes)
    weight = _of_votes(votes, method, tally, a, b)
    found = control(tally.models, a, b, _SCORE[np.asarray(votes.outcome)], votes.style, weight, method.prior).estimate
    return table(tally, found, method.order)


def tallied(votes: Columns, method: Method) -> Tally:
    """The votes added up and weighed as the method says; models in the order of their names."""
    votes = _games(votes, method)
    models, a, b = _by_name(votes)
    how = _chosen(method, votes.probability)
    each = None if how != "propensity" else _propensity(votes)
    voter = None
    if method.interval == "clustered" and votes.voter is not None:
        voter = np.unique(np.asarray(votes.voter), return_inverse=True)[1]
    tally = from_votes(models, a, b, _SCORE[np.asarray(votes.outcome)], each, voter)
    return weights.realised(tally) if how == "realised" else tally


def _games(votes: Columns, method: Method) -> Columns:
    if method.both_bad == "tie":
        return votes
    return votes.take(np.asarray(votes.outcome) != OUTCOMES.index("both_bad"))


def _propensity(votes: Columns) -> Floats:
    if votes.probability is None or np.isnan(votes.probability).any():
        raise ValueError("weights by propensity need every vote's probability")
    return weights.propensity(votes.probability)


def _of_votes(votes: Columns, method: Method, tally: Tally, a: Places, b: Places) -> Floats | None:
    """What each single vote weighs."""
    how = _chosen(method, votes.probability)
    if how == "propensity":
        return _propensity(votes)
    return _pair_weights(tally, a, b) if how == "realised" else None


def _pair_weights(tally: Tally, a: Places, b: Places) -> Floats:
    """What the votes of each pair weigh, back at the single votes."""
    weight = np.zeros((tally.size, tally.size))
    weight[tally.a, tally.b] = tally.weight
    return np.asarray(weight[a, b])


def _chosen(method: Method, probability: Floats | None) -> weights.Weighting:
    if method.weights != "auto":
        return method.weights
    known = np.zeros(0) if probability is None else probability[~np.isnan(probability)]
    return "realised" if len(known) and known.max() > known.min() * _DIFFERENT else "none"


def _by_name(votes: Columns) -> tuple[tuple[str, ...], Places, Places]:
    """Models that occur, in the order of their names, and both sides renumbered."""
    a, b = np.asarray(votes.a), np.asarray(votes.b)
    seen = np.zeros(len(votes.models), dtype=bool)
    seen[a], seen[b] = True, True
    order = sorted(np.flatnonzero(seen).tolist(), key=lambda i: votes.models[i])
    number = np.zeros(len(votes.models), dtype=np.intp)
    number[order] = np.arange(len(order))
    return tuple(votes.models[i] for i in order), number[a], number[b]


def difference(style: Floats) -> Floats:
    """``(a - b) / (a + b + 1)``, as FastChat: from ``(votes, 2 * features)``, a's values first."""
    a, b = style[:, : len(STYLE)], style[:, len(STYLE) :]
    return np.asarray((a - b) / (a + b + 1))
