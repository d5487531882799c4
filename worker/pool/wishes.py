"""What an operator asked of one engine, carried out when it takes nothing from those who wait."""

from __future__ import annotations

from collections.abc import Callable

from worker.memory import Bytes
from worker.pool import room
from worker.pool.states import EngineState, EngineView, Load, Move, PoolState, Sleep, Unload, Wake, Wish

_AWAY = (EngineState.COLD, EngineState.FAILED)


def fulfilled(state: PoolState, ledgers: Bytes) -> tuple[str, ...]:
    """Ids of wishes that hold already or cannot be granted."""
    return tuple(w.id for w in state.wishes if _holds(state.engines[w.model], w) or _hopeless(state, w, ledgers))


def leaving(state: PoolState, ledgers: Bytes) -> frozenset[str]:
    """Engines that take no new leases because an operator wants them out of memory, and they can go."""
    away = [w for w in state.wishes if w.kind in ("unload", "sleep") and state.can_answer(w.model)]
    return frozenset(
        w.model for w in away if w.kind == "unload" or room.sleeps(state, ledgers, state.engines[w.model], w.tier)
    )


def wished(
    state: PoolState,
    idle: Callable[[EngineView], bool],
    spare: Callable[[EngineView], bool],
    ledgers: Bytes,
    now: float,
    switching: frozenset[str],
) -> Move | None:
    """The next step of the oldest wish that can take one.

    What is to go must be ``idle``; what makes room for a wish ``spare``: not even waited for. While a switch is on,
    nothing is loaded for a wish, and nothing it needs (``switching``) is put away.
    """
    for wish in state.wishes:
        engine = state.engines[wish.model]
        if _holds(engine, wish):
            continue
        if wish.kind in ("unload", "sleep"):
            if engine.model not in switching and (step := _away(state, engine, wish, idle, ledgers)) is not None:
                return step
        elif not switching and (step := _up(state, engine, spare, ledgers, now)) is not None:
            return step
    return None


def _holds(engine: EngineView, wish: Wish) -> bool:
    if wish.kind in ("load", "wake"):
        return engine.usable
    if wish.kind == "sleep":
        return engine.state is EngineState.SLEEPING or engine.state in _AWAY
    return engine.state in _AWAY


def _hopeless(state: PoolState, wish: Wish, ledgers: Bytes) -> bool:
    engine = state.engines[wish.model]
    if wish.kind in ("load", "wake"):
        return engine.gone or not (engine.elsewhere or room.together(state, ledgers, {engine.model}))
    if wish.kind == "unload":
        return engine.pinned
    asleep = engine.footprint.asleep(wish.tier)
    return engine.pinned or asleep is None or not engine.footprint.resident.most(asleep).fits(ledgers)


def _away(
    state: PoolState, engine: EngineView, wish: Wish, idle: Callable[[EngineView], bool], ledgers: Bytes
) -> Move | None:
    if engine.state is EngineState.SLEEPING:
        return Unload(engine.model, "operator")
    if not state.can_answer(engine.model) or not idle(engine):
        return None
    if wish.kind == "unload":
        return Unload(engine.model, "operator")
    return Sleep(engine.model, wish.tier, "operator") if room.sleeps(state, ledgers, engine, wish.tier) else None


def _up(
    state: PoolState, engine: EngineView, spare: Callable[[EngineView], bool], ledgers: Bytes, now: float
) -> Move | None:
    if engine.state not in (*_AWAY, EngineState.SLEEPING) or engine.failed_until > now or engine.retiring:
        return None
    victims = room.leave_for(state, ledgers, {engine.model}, now)
    if victims is None or any(v.resident and not (v.usable and spare(v)) for v in victims):
        return None
    if not victims and room.room_now(state, ledgers, engine):
        return Wake(engine.model) if engine.state is EngineState.SLEEPING else Load(engine.model)
    if not victims:
        return None
    need = engine.reserved.most(engine.footprint.resident) - engine.reserved
    return room.put_away(state, ledgers, victims[0], need, f"room for {engine.model}", victims)
