"""Drawing a pair for somebody: the policy that the settings name, told what is known at this moment.

The arithmetic is in :mod:`web.arena.sampling`; here is what it costs a request: one round trip to Redis, and reads of
the asker's newest battles and of the votes by pair where the policy has use for them.
"""

from __future__ import annotations

import functools
import logging
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from redis.exceptions import RedisError
from sqlalchemy import Select, bindparam, select
from sqlalchemy.orm import Session

from web.arena import pairs
from web.arena.admission import apart
from web.arena.sampling import Active, Draw, PairVotes, Policy, ResidencyAware, Situation, Uniform, Weighted, ledger
from web.arena.sampling.distribution import in_order
from web.arena.sampling.failing import fit, resting
from web.arena.sampling.tally import Count, by_pair
from web.context import Arena
from web.models import Battle
from web.settings.sampling import SamplingSettings
from worker.contract.catalog import Catalog
from worker.contract.residency import Residency, pair_key

log = logging.getLogger(__name__)

_LOOKED_AT = 10
"""Battles without a vote that may lie between an asker's newest ones; more are not looked through for every prompt."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A draw, and what it was made from; nothing where the asker chose the pair."""

    draw: Draw
    policy: Policy | None = None
    situation: Situation | None = None


def policy_of(settings: SamplingSettings, catalog: Catalog) -> Policy:
    """The policy that the settings name, on the weights of this catalog."""
    made: dict[str, Policy] = {
        "uniform": Uniform(),
        "weighted": _weighted(settings, catalog),
        "active": Active(settings.sampling_floor),
    }
    if settings.sampling != "residency":
        return made[settings.sampling]
    return ResidencyAware(made[settings.sampling_base], settings.sampling_floor, settings.sampling_stay)


def _weighted(settings: SamplingSettings, catalog: Catalog) -> Policy:
    """Weights that are all alike are no weights: the version says so."""
    weights = {m.id: m.weight * settings.sampling_boosts.get(m.id, 1.0) for m in catalog.models}
    ramp = settings.sampling_ramp if settings.sampling_newcomer != 1.0 else 0
    if len(set(weights.values())) == 1 and not ramp:
        return Uniform()
    return Weighted(weights, settings.sampling_newcomer if ramp else 1.0, ramp)


def draw_pair(
    arena: Arena,
    reports: Sequence[Residency],
    models: Sequence[str],
    dice: random.Random,
    seen: frozenset[str] = frozenset(),
) -> Drawn:
    """Two of ``models``, which can all run now. ``seen``: pairs the asker has just learnt of, as :func:`seen_by` says.

    Raises TooFewModels. Without Redis it draws as if nothing had been drawn before.
    """
    settings = arena.settings
    policy = policy_of(settings, arena.catalog)
    known = _ledger(arena, drawn=isinstance(policy, ResidencyAware))
    rests = resting(known.failures, time.time(), settings.sampling_rest_after, settings.sampling_rest_s)
    situation = Situation(
        in_order(fit([m for m in models if m not in settings.sampling_outages], rests)),
        reports,
        _votes(arena, policy),
        known.drawn,
        known.round,
        known.rounds,
        seen,
    )
    if out := apart(reports, situation.models):
        situation = replace(situation, apart=out)
    drawn = situation.meeting(policy.distribution(situation))
    return Drawn(drawn.draw(dice, policy.version), policy, situation)


def count(arena: Arena, drawn: Drawn, instead_of: tuple[str, str] | None = None) -> None:
    """To be told of every battle that was begun: a draw that was refused leaves its pair's share of the round alone.

    ``instead_of``: a pair that was counted and did not meet after all.
    """
    policy, now = drawn.policy, drawn.situation
    if not isinstance(policy, ResidencyAware) or policy.stay <= 0 or now is None:
        return
    key = pair_key(drawn.draw.a, drawn.draw.b)
    try:
        ledger.count(arena.redis, drawn.draw.a, drawn.draw.b)
        if instead_of is not None:
            ledger.count(arena.redis, *instead_of, by=-1)
        if policy.is_over(replace(now, drawn={**now.drawn, key: now.drawn.get(key, 0) + 1})):
            ledger.next_round(arena.redis, now.round)
    except RedisError as error:
        log.warning("a draw is not counted in its round: %s", type(error).__name__)


def _ledger(arena: Arena, *, drawn: bool) -> ledger.Ledger:
    try:
        return ledger.read(arena.redis, drawn=drawn)
    except RedisError as error:
        log.warning("a pair is drawn without knowing of others: %s", type(error).__name__)
        return ledger.Ledger()


def _votes(arena: Arena, policy: Policy) -> dict[str, PairVotes]:
    """As of the newest leaderboard, for policies that look at them."""
    base = policy.base if isinstance(policy, ResidencyAware) else policy
    if not isinstance(base, Active) and not (isinstance(base, Weighted) and base.ramp):
        return {}
    return by_pair(
        Count(m.a, m.b, score, games)
        for m in arena.db.read(pairs.read)
        for score, games in ((1.0, m.wins_a), (0.0, m.wins_b), (0.5, m.ties + m.both_bad))
    )


def seen_by(session: Session, settings: SamplingSettings, owner: str) -> frozenset[str]:
    """Pairs whose names the asker has lately read: of the newest battles, those that were voted.

    None under a policy that has no use for them.
    """
    newest = settings.sampling_memory
    if not newest or settings.sampling != "residency":
        return frozenset()
    rows = session.connection().execute(_newest_of(_LOOKED_AT + newest), {"owner": owner}).all()
    return frozenset([pair_key(a, b) for a, b, voted in rows if voted is not None][:newest])


@functools.cache
def _newest_of(most: int) -> Select[str, str, datetime | None]:
    """Made once: every prompt asks this."""
    mine = select(Battle.model_a, Battle.model_b, Battle.voted_at).where(Battle.owner == bindparam("owner"))
    return mine.order_by(Battle.created_at.desc()).limit(most)
