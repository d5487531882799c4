"""What is compared with: the strengths that votes told, by the whole of them and as they were at any time before.

Whoever casts most of the votes on a model would otherwise be what they are compared with, so no place has more than
a tenth of any model's votes here, the oldest ones. And a burst is compared with what was known before it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from web.arena.integrity.ballots import Ballots
from web.arena.integrity.rules import Rules
from web.arena.integrity.sequential import Bools, Floats, Ints, occurrence
from web.ratings.bradley_terry import PRIOR
from web.ratings.newton import maximise
from web.ratings.tally import Pairs

_BLOCKS, _BLOCK = 20, 250
"""Into how many stretches of time the votes are cut, at most, and the fewest votes of one."""
_VOICE, _FEW = 0.1, 20
"""The share of a model's votes that one place may have, and how many it may in any case."""


@dataclass(frozen=True, slots=True)
class History:
    """Strengths on the natural scale, NaN where too few votes know a model.

    ``theta``: ``(models,)``, by all votes; ``before``: ``(blocks, models)``, by the votes of earlier blocks.
    """

    theta: Floats
    before: Floats

    def leads(self, ballots: Ballots) -> Floats:
        """By how much a led b, in logits, as was known before each vote; ballots in order of time."""
        block = blocks(len(ballots.id))
        return np.asarray(self.before[block, ballots.a] - self.before[block, ballots.b])


def voices(ballots: Ballots) -> Bools:
    """Which votes make the history: of each place only the first of each model. Ballots in order of time."""
    models, place = len(ballots.models), ballots.places()
    total = np.bincount(np.concatenate([ballots.a, ballots.b]), minlength=models)
    most = np.maximum(_FEW, _VOICE * total)
    looked = np.stack([place * models + ballots.a, place * models + ballots.b], axis=1).ravel()
    number = occurrence(looked).reshape(-1, 2)
    return np.asarray((number[:, 0] < most[ballots.a]) & (number[:, 1] < most[ballots.b]))


def fitted(ballots: Ballots, chosen: Bools, rules: Rules) -> History:
    """By the chosen votes."""
    models = len(ballots.models)
    count = int(blocks(len(ballots.id)).max(initial=0)) + 1
    a, b, score, block = ballots.a[chosen], ballots.b[chosen], ballots.score[chosen], blocks(len(ballots.id))[chosen]
    cell = np.concatenate([(block * models + a) * models + b, (block * models + b) * models + a])
    won = np.bincount(cell, np.concatenate([score, 1 - score]), count * models * models)
    decided = score != 0.5
    votes = np.bincount(
        np.concatenate([(block * models + a)[decided], (block * models + b)[decided]]), minlength=count * models
    )
    points: Floats = np.cumsum(won.astype(np.float64).reshape(count, models, models), axis=0)
    known = np.cumsum(votes.reshape(count, models), axis=0) >= rules.known
    theta = np.where(known, maximise(Pairs(np.asarray(points + points.swapaxes(-1, -2)), points), PRIOR), np.nan)
    return History(theta[-1], np.concatenate([np.full((1, models), np.nan), theta[:-1]]))


def blocks(votes: int) -> Ints:
    """Which stretch of time each of so many votes in order is in."""
    count = max(1, min(_BLOCKS, votes // _BLOCK))
    return np.arange(votes) * count // max(votes, 1)
