"""The honesty figures of one board, together, as they are printed and served."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np

from web.ratings import honesty
from web.ratings.method import Columns, Method, tallied

_DIGITS = 6
METHOD = "AMIP: approximate maximum influence perturbation (Broderick, Giordano and Meager 2020)"


def figures(votes: Columns, method: Method) -> dict[str, Any]:
    """``votes``, ``flip``, ``coverage``, ``position``, ``agreement`` and ``excluded``; what is not known is None.

    Agreement is about pairs of models (one, the other, or a tie), since prompts differ from battle to battle.
    """
    tally = tallied(votes, method)
    flip = honesty.smallest_flip(tally, max(method.prior, 1e-6))
    a, b = np.asarray(votes.a, dtype=np.int64), np.asarray(votes.b, dtype=np.int64)
    outcome = np.asarray(votes.outcome)
    verdict = np.select([outcome == 0, outcome == 1], [a > b, a < b], 2)
    pair = np.minimum(a, b) * max(len(votes.models), 1) + np.maximum(a, b)
    return _plain(
        {
            "votes": round(tally.total),
            "flip": None if flip is None else asdict(flip) | {"method": METHOD},
            "coverage": asdict(honesty.coverage(tally)),
            "position": asdict(honesty.position_bias(tally)),
            "agreement": asdict(honesty.agreement(pair, verdict, votes.voter)),
            "excluded": honesty.excluded(votes.reasons),
        }
    )


def _plain(found: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _plain(value)
        if isinstance(value, dict)
        else (None if math.isnan(value) else round(value, _DIGITS))
        if isinstance(value, float)
        else value
        for name, value in found.items()
    }
