"""Votes in columns, added up: what every estimator here eats.

A million votes on a hundred models are some 30,000 different (pair, outcome, weight) rows, and everything an estimator
does costs the number of rows, or of pairs, and not of votes. Ties are half a win for each (Rao and Kupper 1967 call
the rest a modelling choice; FastChat and LMArena count them so too); "both bad" is a tie unless the caller drops it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

Ints = NDArray[np.intp]
Floats = NDArray[np.float64]

SCORES = {"a": 1.0, "b": 0.0, "tie": 0.5, "both_bad": 0.5}
"""Side a's score. Both bad is a tie: neither was better."""


@dataclass(frozen=True, slots=True)
class Count:
    """``games`` games between ``a`` and ``b`` in which ``a`` scored ``score`` each (1, 0.5 or 0)."""

    a: str
    b: str
    score: float
    games: int = 1


@dataclass(frozen=True, slots=True)
class Pairs:
    """Unordered pairs as symmetric matrices ``(models, models)``, or a stack of them ``(samples, models, models)``.

    ``games[i, j]`` is the weight of all games between i and j, ``points[i, j]`` what i scored of it.
    """

    games: Floats
    points: Floats


@dataclass(frozen=True, slots=True)
class Tally:
    """Rows of equal games; all columns have the same length.

    ``a`` and ``b`` index ``models``; ``score`` is a's; ``games`` how many votes the row stands for; ``weight`` what
    each of them weighs (mean 1 over all votes, see :mod:`web.ratings.weights`); ``voter`` numbers who cast them, when
    rows are kept apart by voter. ``stratified``: the weights were made from the realised counts of the pairs, which
    the intervals must know.
    """

    models: tuple[str, ...]
    a: Ints
    b: Ints
    score: Floats
    games: Floats
    weight: Floats
    voter: Ints | None = None
    stratified: bool = False

    @property
    def size(self) -> int:
        """How many models there are."""
        return len(self.models)

    @property
    def total(self) -> float:
        """How many votes there are."""
        return float(self.games.sum())

    def matrix(self, per_row: Floats) -> Floats:
        """``per_row`` summed by ordered pair: ``(models, models)``, or a stack of them for a stack of rows."""
        size = self.size
        cell = self.a * size + self.b
        if per_row.ndim == 1:
            return np.asarray(np.bincount(cell, per_row, size * size), dtype=np.float64).reshape(size, size)
        return np.stack([self.matrix(row) for row in per_row])

    def pairs(self, games: Floats | None = None) -> Pairs:
        """Weighted games and points by pair; ``games`` replaces the rows' counts, for resamples stacked in front."""
        weighted = (self.games if games is None else games) * self.weight
        won, lost = self.matrix(weighted * self.score), self.matrix(weighted * (1 - self.score))
        points = won + lost.swapaxes(-1, -2)
        return Pairs(points + points.swapaxes(-1, -2), points)

    def weighing(self, weight: Floats, *, stratified: bool = False) -> Tally:
        """The same games with other weights, brought to mean 1 so that the prior keeps its meaning."""
        mean = float(self.games @ weight) / self.total if len(weight) else 1.0
        return replace(self, weight=weight / mean, stratified=stratified)


def from_counts(counts: Iterable[Count]) -> Tally:
    """The counts as columns; models in the order of their names. Games of a model against itself raise ValueError."""
    rows = [c for c in counts if c.games > 0]
    names = sorted({m for c in rows for m in (c.a, c.b)})
    index = {m: i for i, m in enumerate(names)}
    games = np.array([c.games for c in rows], dtype=np.float64)
    a = np.array([index[c.a] for c in rows], dtype=np.intp)
    b = np.array([index[c.b] for c in rows], dtype=np.intp)
    return _checked(tuple(names), a, b, np.array([c.score for c in rows], dtype=np.float64), games)


def from_votes(
    models: Sequence[str],
    a: ArrayLike,
    b: ArrayLike,
    score: ArrayLike,
    weight: ArrayLike | None = None,
    voter: ArrayLike | None = None,
) -> Tally:
    """One entry per vote, added up by (a, b, score, weight, voter). Linear in the votes.

    ``a`` and ``b`` index ``models``. ``score`` is one of 0, 0.5 and 1. ``voter`` are non-negative integers. Raises
    ValueError when a model meets itself.
    """
    a, b, score = np.asarray(a, dtype=np.intp), np.asarray(b, dtype=np.intp), np.asarray(score, dtype=np.float64)
    size = max(len(models), 1)
    key = (a * size + b) * 3 + np.rint(2 * score).astype(np.intp)
    span = size * size * 3
    if weight is not None:
        classes, which = np.unique(np.asarray(weight, dtype=np.float64), return_inverse=True)
        key, span = key * len(classes) + which, span * len(classes)
    if voter is not None:
        voters = np.asarray(voter, dtype=np.intp)
        people = int(voters.max(initial=0)) + 1
        key, span = key * people + voters, span * people
    found, games = _histogram(key, span)
    who: Ints | None = None
    if voter is not None:
        found, who = np.divmod(found, people)
    each = np.ones(len(found))
    if weight is not None:
        found, which = np.divmod(found, len(classes))
        each = classes[which]
    pair, outcome = np.divmod(found, 3)
    first, second = np.divmod(pair, size)
    tally = _checked(tuple(models), first, second, outcome / 2.0, games.astype(np.float64))
    return replace(tally, weight=each, voter=who)


def _histogram(key: Ints, span: int) -> tuple[Ints, Ints]:
    """Distinct keys and how often each occurs; counted rather than sorted where the table fits."""
    if span <= max(4 * len(key), 1 << 16):
        table = np.bincount(key, minlength=span)
        found = np.flatnonzero(table)
        return found, table[found]
    found, games = np.unique(key, return_counts=True)
    return found, games


def _checked(models: tuple[str, ...], a: Ints, b: Ints, score: Floats, games: Floats) -> Tally:
    if np.any(a == b):
        raise ValueError("a model cannot meet itself")
    return Tally(models, a, b, score, games, np.ones(len(games)))
