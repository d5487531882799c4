"""Voters none of whom stands out, and who all pull one model the same way.

Each voter's capital against one model (:class:`web.arena.integrity.sequential.Pull`) is at most 1 on average if they
are honest. So is ``1 - share + share * capital``, the bet that each voter is one of a ring with probability ``share``,
and so is the product over independent voters: it exceeds ``1 / alpha`` with probability alpha at most, whatever number
of honest voters it is over. Where it does there is a ring, and Bayes says who is likely in it, with far fewer votes
each than would convict one alone. Only voters with ``many`` votes on the model enter: how many they have does not
depend on which way they went, and leaves out the crowd that says nothing.
"""

from __future__ import annotations

import numpy as np

from web.arena.integrity.rules import Rules
from web.arena.integrity.sequential import Bools, Floats, Pull

SHARES = (0.002, 0.01, 0.03, 0.1, 0.3)
_FEWEST = 2


def alone(pull: Pull, rules: Rules, models: int) -> Bools:
    """Rows of voters whose own votes prove it: at most ``alpha`` of honest ones, over all models and both ways."""
    return np.asarray(pull.peak >= np.log(2 * models / rules.alpha))


def together(pull: Pull, rules: Rules, models: int) -> Bools:
    """Rows of voters who are part of a ring, which no one of them needs to prove."""
    found = np.zeros(len(pull.unit), dtype=bool)
    bound = np.log(2 * models * len(SHARES) / rules.alpha)
    for model in np.unique(pull.model):
        rows = np.flatnonzero((pull.model == model) & (pull.votes >= rules.many))
        if len(rows) < _FEWEST:
            continue
        best, share = max((_evidence(pull.last[rows], share), share) for share in SHARES)
        if best >= bound:
            inside = rows[_membership(pull.last[rows], share) >= rules.sure]
            if len(inside) >= _FEWEST:
                found[inside] = True
    return found


def _evidence(capital: Floats, share: float) -> float:
    return float(np.logaddexp(np.log1p(-share), np.log(share) + capital).sum())


def _membership(capital: Floats, share: float) -> Floats:
    """The chance that a voter is one of the ring, given that there is one."""
    odds = np.log(share) - np.log1p(-share) + capital
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * odds)))
