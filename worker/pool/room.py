"""Whom to put away, and how deep: memory in both ledgers and the places of ``capacity``.

Least recently used first, weighed by what it costs to bring an engine back: one that loads in two seconds goes before
one that takes twenty and has rested ten times as long. Never a pinned engine, never one that serves somebody.
"""

from __future__ import annotations

from collections.abc import Container, Iterable

from worker.memory import NOTHING, Bytes, Tier
from worker.pool.states import EngineState, EngineView, Move, PoolState, Sleep, Unload


def together(state: PoolState, ledgers: Bytes, models: Iterable[str]) -> bool:
    """Whether all of ``models`` can be in memory at once, with everything else put away but the pinned engines."""
    wanted = set(models)
    stay = [e for e in state.engines.values() if (e.model in wanted or e.pinned) and not e.elsewhere]
    held = sum((e.footprint.resident for e in stay), NOTHING)
    return len(stay) <= state.capacity and held.fits(ledgers)


def leave_for(state: PoolState, ledgers: Bytes, models: Iterable[str], now: float) -> list[EngineView] | None:
    """The engines that must go so that ``models`` fit: few, and the least worth keeping. None: nothing helps.

    One of ``models`` is among them when it sleeps and there is no room to wake it: it must be loaded anew.
    """
    wanted = set(models)
    here = [e for e in state.engines.values() if not e.elsewhere]
    others = [e for e in here if e.model not in wanted]
    asleep = sorted((e for e in others if e.state is EngineState.SLEEPING), key=lambda e: (e.last_used, e.model))
    awake = sorted((e for e in others if e.resident and not e.pinned), key=lambda e: _worth(e, now))
    anew = [e for e in here if e.model in wanted and e.state is EngineState.SLEEPING]
    gone: list[EngineView] = []
    for candidate in [*asleep, *awake, *anew]:
        if _fits(state, ledgers, wanted, gone):
            break
        gone.append(candidate)
    if not _fits(state, ledgers, wanted, gone):
        return None
    for spare in reversed(list(gone)):
        rest = [e for e in gone if e is not spare]
        if _fits(state, ledgers, wanted, rest):
            gone = rest
    return sorted(gone, key=lambda e: _worth(e, now))


def room_now(state: PoolState, ledgers: Bytes, engine: EngineView) -> bool:
    """Whether ``engine`` can be brought up without anything going first."""
    places = sum(e.resident for e in state.engines.values() if e.model != engine.model)
    held = state.reserved - engine.reserved + engine.reserved.most(engine.footprint.resident)
    return engine.elsewhere or (places < state.capacity and held.fits(ledgers))


def put_away(
    state: PoolState,
    ledgers: Bytes,
    victim: EngineView,
    room_for: Bytes,
    why: str,
    going: Iterable[EngineView] = (),
) -> Move:
    """The deepest rest from which ``victim`` returns soonest and that still leaves ``room_for`` what comes next.

    ``going`` are the others that must go too before that comes. Where the ledger of the host is full of others asleep
    for longer, the oldest of them goes for good first.
    """
    offered: tuple[Tier, ...] = ("l1", "l2")
    going = [e for e in going if e.model != victim.model]
    if victim.state is EngineState.SLEEPING:
        return Unload(victim.model, why)
    for tier in offered:
        asleep = victim.footprint.asleep(tier)
        if asleep is None:
            continue
        if _sleeps_in(state, ledgers, victim, asleep, room_for, going, ()):
            return Sleep(victim.model, tier, why)
        older = [
            e
            for e in state.engines.values()
            if e.state is EngineState.SLEEPING and not e.pinned and e.last_used < victim.last_used and e not in going
        ]
        if older and _sleeps_in(state, ledgers, victim, asleep, room_for, going, older):
            oldest = min(older, key=lambda e: (e.last_used, e.model))
            return Unload(oldest.model, f"room for {victim.model} to sleep")
    return Unload(victim.model, why)


def surplus(state: PoolState, ledgers: Bytes, wanted: Container[str], now: float) -> EngineView | None:
    """The engine to go next because capacity was lowered or engines turned out larger than reckoned.

    One of those somebody waits for (``wanted``) only when there is no other.
    """
    leaving = {e.model for e in state.engines.values() if e.state is EngineState.STOPPING or e.model == state.moving}
    stay = [e for e in state.engines.values() if e.resident and e.model not in leaving]
    coming = [e for e in state.engines.values() if e.model == state.moving and e.resident and not e.usable]
    crowded = len(stay) + len(coming) > state.capacity
    if not crowded and state.reserved.fits(ledgers):
        return None
    asleep = [e for e in state.engines.values() if e.state is EngineState.SLEEPING and e.model not in leaving]
    if asleep and not crowded:
        return min(asleep, key=lambda e: (e.last_used, e.model))
    awake = [e for e in stay if e.usable and not e.pinned]
    return min(awake, key=lambda e: (e.model in wanted, _worth(e, now))) if awake else None


def sleeps(state: PoolState, ledgers: Bytes, engine: EngineView, tier: Tier) -> bool:
    """Whether ``engine`` may be put to sleep as things are."""
    asleep = engine.footprint.asleep(tier)
    return asleep is not None and _sleeps_in(state, ledgers, engine, asleep, NOTHING, (), ())


def _sleeps_in(
    state: PoolState,
    ledgers: Bytes,
    victim: EngineView,
    asleep: Bytes,
    room_for: Bytes,
    going: Iterable[EngineView],
    gone: Iterable[EngineView],
) -> bool:
    """Both while it falls asleep, ``gone`` being gone, and when ``going`` are too and what comes next is in place."""
    rest = state.reserved - victim.reserved - sum((e.reserved for e in gone), NOTHING)
    after = rest - sum((e.reserved for e in going), NOTHING)
    return (rest + victim.reserved.most(asleep)).fits(ledgers) and (after + asleep + room_for).fits(ledgers)


def _fits(state: PoolState, ledgers: Bytes, wanted: set[str], gone: list[EngineView]) -> bool:
    left = {e.model for e in gone}
    stay = [e for m, e in state.engines.items() if m not in left and m not in wanted]
    come = [e for m in wanted if not (e := state.engines[m]).elsewhere]
    held = sum((e.reserved for e in stay), NOTHING)
    held += sum((_coming(e, fresh=e.model in left) for e in come), NOTHING)
    return sum(e.resident for e in stay) + len(come) <= state.capacity and held.fits(ledgers)


def _coming(engine: EngineView, *, fresh: bool) -> Bytes:
    return engine.footprint.resident if fresh else engine.reserved.most(engine.footprint.resident)


def _worth(engine: EngineView, now: float) -> tuple[int, float, float, str]:
    """Idle before busy; of the busy those that drain already, so that a drain is never begun and given up."""
    busy = 0 if not engine.leases else 1 if engine.state is EngineState.DRAINING else 2
    rested = now - engine.last_used
    return busy, -rested / max(engine.costs.load_s, 0.1), engine.last_used, engine.model
