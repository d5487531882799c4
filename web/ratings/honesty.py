"""How far the board can be trusted, in figures that anybody can compute again from the published votes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from web.ratings.bradley_terry import PRIOR, Z_95
from web.ratings.newton import expectation, hessian, maximise
from web.ratings.tally import Floats, Tally


@dataclass(frozen=True, slots=True)
class Flip:
    """Without ``votes`` (``share`` of all), ``rival`` is above ``top``. ``confirmed``: seen in a fit without them."""

    top: str
    rival: str
    votes: int
    share: float
    confirmed: bool


@dataclass(frozen=True, slots=True)
class Share:
    """A share with its 95 % interval, of ``votes`` votes."""

    share: float
    low: float
    high: float
    votes: int


@dataclass(frozen=True, slots=True)
class Coverage:
    """Pairs that met of those that could; votes of the pair with fewest and of the middle one."""

    met: int
    possible: int
    fewest: int
    median: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """``pairwise``: chance that two votes on the same thing agree. ``alpha``: Krippendorff's; 0 is as by chance."""

    pairwise: float
    alpha: float
    things: int


def smallest_flip(tally: Tally, prior: float = PRIOR) -> Flip | None:
    """The fewest votes found whose removal takes the first place away; None when there are no two models.

    The method is AMIP, the approximate maximum influence perturbation (Broderick, Giordano and Meager 2020, for arenas
    arXiv:2508.11847): a vote's influence on a difference of two ratings is a linear formula at the fit, and the votes
    of most influence go first. How many of them it takes is then found by new fits without them. That bounds the fewest
    from above; it does not prove that no smaller set exists.
    """
    if tally.size < 2:
        return None
    pairs = tally.pairs()
    theta = maximise(pairs, prior)
    bread = np.linalg.inv(hessian(pairs.games, expectation(theta), prior))
    order = np.argsort(-theta, kind="stable")
    top, best = int(order[0]), None
    for rival in order[1:].tolist():
        influence = _influence(tally, theta, bread[top] - bread[rival])
        needed = _needed(influence, tally.games, float(theta[top] - theta[rival]))
        if best is None or needed < best[0]:
            best = (needed, rival, influence)
    assert best is not None
    (_, votes), rival, influence = best
    enough = _enough(lambda n: _flipped(_without(tally, influence, n), top, rival, prior), votes, round(tally.total))
    found = votes if enough is None else enough
    return Flip(tally.models[top], tally.models[rival], found, found / tally.total, enough is not None)


def _enough(flips: Callable[[int], bool], guess: int, total: int) -> int | None:
    """The least number near ``guess`` that flips, found by steps that grow and then by halving; None if none does."""
    below, above, step = 0, max(guess, 1), 1
    while not flips(above):
        below, above, step = above, above + step, 2 * step
        if above >= total:
            return None
    while above - below > 1:
        middle = (below + above) // 2
        below, above = (below, middle) if flips(middle) else (middle, above)
    return above


def _influence(tally: Tally, theta: Floats, direction: Floats) -> Floats:
    """What one vote of each row adds to the difference that ``direction`` measures."""
    expected = expectation(theta)[tally.a, tally.b]
    return np.asarray(tally.weight * (tally.score - expected) * (direction[tally.a] - direction[tally.b]))


def _needed(influence: Floats, games: Floats, gap: float) -> tuple[bool, int]:
    """Whether all votes are too few by this line, and how many of most influence add up to more than ``gap``."""
    helpful = np.flatnonzero(influence > 0)
    order = helpful[np.argsort(-influence[helpful], kind="stable")]
    gained = np.cumsum(influence[order] * games[order])
    row = int(np.searchsorted(gained, gap, side="right"))
    if row == len(order):
        return True, int(games[helpful].sum())
    before = float(gained[row - 1]) if row else 0.0
    return False, int(games[order[:row]].sum()) + math.floor((gap - before) / float(influence[order[row]])) + 1


def _without(tally: Tally, influence: Floats, votes: int) -> Tally:
    order = np.argsort(-influence, kind="stable")
    before = np.cumsum(tally.games[order]) - tally.games[order]
    games = tally.games.copy()
    games[order] -= np.clip(votes - before, 0, tally.games[order])
    return replace(tally, games=games)


def _flipped(tally: Tally, top: int, rival: int, prior: float) -> bool:
    theta = maximise(tally.pairs(), max(prior, 1e-6))
    return bool(theta[rival] > theta[top])


def coverage(tally: Tally) -> Coverage:
    """Over all models that have a vote."""
    ordered = tally.matrix(tally.games)
    votes = (ordered + ordered.T)[np.triu_indices(tally.size, 1)]
    if not len(votes):
        return Coverage(0, 0, 0, 0.0)
    return Coverage(int((votes > 0).sum()), len(votes), int(votes.min()), float(np.median(votes)))


def position_bias(tally: Tally) -> Share:
    """How often the answer on side a won, of the votes that had a winner. Sides are drawn by a coin: 1/2 is no bias."""
    decided = tally.score != 0.5
    votes = round(float(tally.games[decided].sum()))
    return wilson(round(float(tally.games[tally.score == 1.0].sum())), votes)


def wilson(hits: int, votes: int) -> Share:
    """A share with Wilson's score interval (1927), which holds for few votes too."""
    if not votes:
        return Share(0.5, 0.0, 1.0, 0)
    share, z2 = hits / votes, Z_95**2
    centre = (share + z2 / (2 * votes)) / (1 + z2 / votes)
    reach = Z_95 * math.sqrt(share * (1 - share) / votes + z2 / (4 * votes**2)) / (1 + z2 / votes)
    return Share(share, max(0.0, centre - reach), min(1.0, centre + reach), votes)


def agreement(thing: ArrayLike, verdict: ArrayLike, voter: ArrayLike | None = None) -> Agreement:
    """Krippendorff's alpha for nominal verdicts (2011), and the plain chance that two voters agree.

    One entry per vote: ``thing`` numbers what was judged (a pair of models, or a pair and a prompt), ``verdict`` what
    was said (whichever side it was on). Of a voter's votes on one thing only the first is taken. Things with one vote
    say nothing. NaN when nothing was judged twice, and for ``alpha`` when everybody always said the same.
    """
    things, verdicts = np.asarray(thing, dtype=np.int64), np.asarray(verdict, dtype=np.int64)
    if voter is not None and len(things):
        _, first = np.unique(np.stack([things, np.asarray(voter, dtype=np.int64)]), axis=1, return_index=True)
        things, verdicts = things[first], verdicts[first]
    units, unit = np.unique(things, return_inverse=True)
    values, value = np.unique(verdicts, return_inverse=True)
    counts = np.zeros((len(units), len(values)))
    np.add.at(counts, (unit, value), 1)
    counts = counts[counts.sum(1) > 1]
    if not len(counts):
        return Agreement(math.nan, math.nan, 0)
    size = counts.sum(1)
    agreeing = (counts * (counts - 1)).sum(1)
    pairwise = float(agreeing.sum() / (size * (size - 1)).sum())
    total, of_value = size.sum(), counts.sum(0)
    observed = 1 - float((agreeing / (size - 1)).sum() / total)
    expected = 1 - float((of_value * (of_value - 1)).sum() / (total * (total - 1)))
    return Agreement(pairwise, 1 - observed / expected if expected > 0 else math.nan, len(counts))


def excluded(reasons: Iterable[Iterable[str]]) -> dict[str, int]:
    """Votes that do not count by reason, most first. Two reasons are counted twice, none is ``unknown``."""
    found = Counter(reason for given in reasons for reason in (list(given) or ["unknown"]))
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))
