"""Ending somebody's battle as an operator, whoever has it: a worker now, or none yet."""

from __future__ import annotations

from sqlalchemy.orm import Session

from web.access import Key
from web.admin.errors import BattleOver
from web.admin.log import note
from web.arena.stopping import UNFINISHED, stop
from web.context import Arena
from web.errors import UnknownBattle
from web.models import Battle


def cancel(arena: Arena, by: Key, battle_id: str, reason: str) -> str:
    """Ask for its end and return its state. Its owner is told the reason. Raises UnknownBattle or BattleOver.

    That it was asked is committed before it is done.
    """
    arena.db.write(lambda s: _noted(s, by, battle_id, reason))
    return stop(arena, battle_id, "operator", reason)


def _noted(session: Session, by: Key, battle_id: str, reason: str) -> None:
    battle = session.get(Battle, battle_id)
    if battle is None:
        raise UnknownBattle("There is no such battle.")
    if battle.state not in UNFINISHED:
        raise BattleOver(f"This battle is {battle.state}.", state=battle.state)
    note(session, by, "battle.cancel", battle_id, reason)
