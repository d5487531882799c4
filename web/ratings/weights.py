"""Weights that undo a sampling policy's preference for some pairs.

Where tastes are not transitive there is no "true" Bradley-Terry strength; there is the best fit to a given mix of
pairs. A policy that favours resident pairs changes that mix and with it the ratings. These weights bring the mix
back to the one in which every pair is as likely as every other. Two ways:

``propensity``: each vote weighs ``target / probability``, the probability being the one stored with its battle before
the first token (Horvitz and Thompson 1952; stabilised to mean 1 as Hajek did), clipped so that no vote weighs
more than ``clip`` times the mean (Ionides 2008).

``realised``: each vote weighs ``target / realised share of its pair``, that is, post-stratification (Holt and Smith
1979; arena-rank's ``reweighted``). Chance differences between drawn and intended counts go (Hirano, Imbens and Ridder
2003), which is worth most where tastes go in circles; in exchange pairs of very few votes weigh a little too much.
``floor``: a pair with fewer votes weighs as if it had this many, so that one vote never speaks for a whole pair.

``python -m ops.bench weights`` measures both: neither is biased. With some 20 votes on the rarer pairs they scatter
alike (realised 0.97 of propensity on circular tastes, 1.03 on transitive ones); with more votes realised wins, needs no
stored probability, and has no clipping to choose. So it is what ``auto`` takes.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from web.ratings.tally import Floats, Tally

Weighting = Literal["none", "propensity", "realised"]
CLIP = 20.0
FLOOR = 5.0


def propensity(probability: Floats, clip: float = CLIP) -> Floats:
    """One weight per vote from the stored probabilities of their pairs: ``1 / p``, mean 1, none above ``clip``.

    Raises ValueError when a probability is not in (0, 1], or ``clip`` not above 1.
    Clipping trades a little bias for much variance.
    """
    if np.any(~(probability > 0) | (probability > 1)):
        raise ValueError("a pair's probability must be above 0 and at most 1")
    if not clip > 1:
        raise ValueError("weights can only be clipped above their mean")
    inverse = 1.0 / probability
    if not len(inverse):
        return inverse
    clipped = inverse
    while clipped.max() > clip * clipped.mean() * (1 + 1e-9):
        clipped = np.minimum(clipped, clip * clipped.mean())
    return np.asarray(clipped / clipped.mean())


def realised(tally: Tally, floor: float = FLOOR) -> Tally:
    """The tally with every pair weighing the same in total, except those with fewer than ``floor`` votes."""
    ordered = tally.matrix(tally.games)
    votes = (ordered + ordered.T)[tally.a, tally.b]
    return tally.weighing(1.0 / np.maximum(votes, floor), stratified=True)


def effective(tally: Tally) -> float:
    """How many equally weighted votes say as much as these (Kish 1965): ``(sum w)^2 / sum w^2``."""
    total = float(tally.games @ tally.weight)
    return total**2 / float(tally.games @ tally.weight**2) if total else 0.0
