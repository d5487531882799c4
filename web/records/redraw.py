"""A battle whose pair could not be started is given another pair, before anybody has seen anything of it.

To its followers it is one more retry of the same turn; of those its asker may have, it takes none. Whoever has asked
for a retry keeps the pair. The new pair comes from the same policy as if the models that failed had been out from the
first: for whoever is left, that is just the probability they would have had
(:meth:`web.arena.sampling.PairDistribution.without`), and it is the one stored from now on.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Sequence

from redis.exceptions import RedisError
from sqlalchemy.orm import Session

from web.arena import drawing
from web.arena.admission import admit, admit_pair
from web.arena.battles import line_up
from web.arena.drawing import Drawn
from web.arena.excluded import models_out
from web.arena.lining import Asked, read_asked
from web.arena.sampling import TooFewModels, ledger
from web.arena.transcript import Said, said_live
from web.context import Arena
from web.errors import ArenaError, TextsGone
from web.models import Battle, Turn
from worker.contract import channel, jobs, residency
from worker.contract.events import SideDelta
from worker.contract.jobs import BattleResult
from worker.contract.residency import Residency

log = logging.getLogger(__name__)
_dice = random.SystemRandom()

NEVER_BEGAN = frozenset(("load_failed", "engine_failed"))
"""Codes of failures that are some model's and no prompt's."""


def note(arena: Arena, result: BattleResult) -> None:
    """Remember whose battles do not begin, and forget it of those who answer. Does its best: nothing depends on it."""
    try:
        began, never = jobs.votable(result), never_began(result)
        if not (never or (began and arena.redis.exists(ledger.FAILURES))):
            return
        models = arena.db.read(lambda s: _models(s, result.battle_id))
        if models and never:
            ledger.note_failure(arena.redis, models, time.time())
        elif models:
            ledger.clear_failures(arena.redis, models)
    except RedisError as error:
        log.warning("what became of a battle is not noted for the next draws: %s", type(error).__name__)


def redrawn(arena: Arena, result: BattleResult) -> bool:
    """Put the battle of this result in line with another pair; False when it is to end as the result says.

    That is: something of it was shown; the prompt or the arena was at fault; its asker chose the pair, or has tried it
    again; it has been redrawn often enough; or there is no other pair that somebody would take now.
    """
    if not never_began(result) or result.turn != 1 or not arena.settings.sampling_redraws:
        return False
    found = arena.db.read(lambda s: _redrawable(s, arena.settings.sampling_redraws, result))
    if found is None:
        return False
    owner, failed = found
    try:
        if _shown(arena, result.battle_id):
            return False
        drawn, live = _draw(arena, owner, failed), said_live(arena.redis, arena.settings, result.battle_id)
    except (ArenaError, TooFewModels, RedisError) as error:
        log.warning("battle %s is not given another pair: %s", result.battle_id, type(error).__name__)
        return False
    try:
        asked = arena.db.write(lambda s: _store(s, arena.settings.sampling_redraws, result, drawn, live))
    except TextsGone:
        return False
    if asked is None:
        return False
    log.warning("battle %s could not begin; it is given another pair", result.battle_id)
    drawing.count(arena, drawn, instead_of=failed)
    line_up(arena, asked, drawn.situation.reports if drawn.situation is not None else ())
    return True


def never_began(result: BattleResult) -> bool:
    """Whether nothing was said on either side, for a fault of the models."""
    sides = (result.sides.a, result.sides.b)
    if result.cancelled_by is not None or any(s.text or s.completion_tokens for s in sides):
        return False
    return any(s.error is not None and s.error.code in NEVER_BEGAN for s in sides)


def _shown(arena: Arena, battle_id: str) -> bool:
    """Whether followers have read a word of it, of an earlier attempt perhaps, whose worker died over it."""
    _, frames = channel.read_log(arena.redis, battle_id)
    return any(isinstance(frame.event, SideDelta) for frame in frames)


def _draw(arena: Arena, owner: str, failed: tuple[str, str]) -> Drawn:
    reports = residency.read(arena.redis)
    out, seen = arena.db.read(lambda s: (models_out(s), drawing.seen_by(s, arena.settings, owner)))
    out |= _at_fault(reports, failed)
    models = [m for m in admit(reports, arena.catalog.ids) if m not in out]
    drawn = drawing.draw_pair(arena, reports, models, _dice, seen)
    admit_pair(reports, drawn.draw.a, drawn.draw.b)
    return drawn


def _at_fault(reports: Sequence[Residency], pair: tuple[str, str]) -> set[str]:
    """Those of the pair that some worker says have failed; both, when none says so of either."""
    said = {m for m in pair if any(m in r.failed for r in reports)}
    return said or set(pair)


def _models(session: Session, battle_id: str) -> tuple[str, str] | None:
    battle = session.get(Battle, battle_id)
    return (battle.model_a, battle.model_b) if battle is not None else None


def _redrawable(session: Session, limit: int, result: BattleResult) -> tuple[str, tuple[str, str]] | None:
    """Whose battle it is and the pair that failed, if the result is the newest of a battle that may be redrawn."""
    battle, turn = session.get(Battle, result.battle_id), session.get(Turn, (result.battle_id, result.turn))
    if battle is None or turn is None or battle.deleted_at is not None:
        return None
    if not battle.ranked or battle.state not in ("queued", "running"):
        return None
    if (battle.turns, turn.retries) != (result.turn, result.retry) or turn.asked_again or turn.redraws >= limit:
        return None
    if result.attempt < battle.attempt or result.attempt <= turn.before:
        return None
    return battle.owner, (battle.model_a, battle.model_b)


def _store(session: Session, limit: int, result: BattleResult, drawn: Drawn, live: Said) -> Asked | None:
    """None when something else has become of the battle meanwhile. Raises TextsGone when its prompt is gone."""
    battle = session.get(Battle, result.battle_id, with_for_update=True)
    if battle is None or _redrawable(session, limit, result) is None:
        return None
    turn = session.get_one(Turn, (result.battle_id, result.turn))
    battle.model_a, battle.model_b = drawn.draw.a, drawn.draw.b
    battle.probability, battle.policy_version = drawn.draw.probability, drawn.draw.policy
    battle.state = "queued"
    turn.retries += 1
    turn.redraws += 1
    turn.trying = "ab"
    turn.before = result.attempt
    session.flush()
    asked = read_asked(session, battle.id, live)
    if asked is None:
        raise TextsGone()
    return asked
