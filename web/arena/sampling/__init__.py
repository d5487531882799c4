"""Which two models meet, and on which side. Pure: settings, what is known, and the dice are arguments.

A pair's probability is stored with the battle before anything is generated, so that any later ranking can correct for
how pairs were drawn. It is the probability of the *unordered* pair, given all that was known at the draw; sides are a
fair coin on top. ops/decisions/0009-which-pairs-meet.md says which policy is the default and what it costs.
"""

from __future__ import annotations

from web.arena.sampling.distribution import Draw, PairDistribution, TooFewModels
from web.arena.sampling.policies import UNIFORM, Active, Policy, Uniform, Weighted
from web.arena.sampling.residency import ResidencyAware
from web.arena.sampling.situation import PairVotes, Situation, among

__all__ = [
    "UNIFORM",
    "Active",
    "Draw",
    "PairDistribution",
    "PairVotes",
    "Policy",
    "ResidencyAware",
    "Situation",
    "TooFewModels",
    "Uniform",
    "Weighted",
    "among",
]
