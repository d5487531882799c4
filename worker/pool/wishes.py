"""What an operator asked of one engine, carried out when it takes nothing from those who wait."""

from __future__ import annotations

from collections.abc import Callable

from worker.memory import Bytes
from worker.pool import room
from worker.pool.states import EngineState, EngineView, Load, Move, PoolState, Sleep, Unload, Wake, Wish

_AWAY = (EngineState.COLD, EngineState.FAILED)


def fulfilled(state: PoolState) -> tuple[str, ...]:
    """Ids of wishes that hold already."""
    return tuple(w.id for w in state.wishes if _holds(state.engines[w.model], w))


def _holds(engine: EngineView, wish: Wish) -> bool:
    if wish.kind in ("load", "wake"):
        return engine.usable
    if wish.kind == "sleep":
        return engine.state is EngineState.SLEEPING or engine.state in _AWAY
    return engine.state in _AWAY


def wished(
    state: PoolState, idle: Callable[[EngineView], bool], ledgers: Bytes, now: float, switching: bool
) -> Move | None:
    """The next step of the oldest wish that can take one. While a switch is on, nothing is loaded for a wish."""
    for wish in state.wishes:
        engine = state.engines[wish.model]
        if _holds(engine, wish):
            continue
        if wish.kind in ("unload", "sleep"):
            if (step := _away(engine, wish)) is not None:
                return step
        elif not switching and (step := _up(state, engine, idle, ledgers, now)) is not None:
            return step
    return None


def _away(engine: EngineView, wish: Wish) -> Move | None:
    if engine.leases or not (engine.usable or engine.state is EngineState.SLEEPING):
        return None
    if wish.kind == "sleep":
        return Sleep(engine.model, wish.tier, "operator") if engine.usable else None
    return Unload(engine.model, "operator")


def _up(
    state: PoolState, engine: EngineView, idle: Callable[[EngineView], bool], ledgers: Bytes, now: float
) -> Move | None:
    if engine.state not in (*_AWAY, EngineState.SLEEPING) or engine.failed_until > now or engine.retiring:
        return None
    if room.room_now(state, ledgers, engine):
        return Wake(engine.model) if engine.state is EngineState.SLEEPING else Load(engine.model)
    victims = room.leave_for(state, ledgers, {engine.model}, now) or []
    free = next((v for v in victims if v.state is EngineState.SLEEPING or (v.usable and idle(v))), None)
    if free is None or any(v.resident and not idle(v) for v in victims):
        return None
    need = engine.reserved.most(engine.footprint.resident) - engine.reserved
    return room.put_away(state, ledgers, free, need, f"room for {engine.model}")
