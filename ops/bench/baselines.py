"""What the pool is measured against: the ways in which engines are usually shared out.

First-in first-out: a battle starts when both of its engines are up. One whose engines are not holds up all behind it;
battles for the pair in memory that follow one another run together. An engine that has to go is waited for until it
serves nobody.

Overtaking: the same, but battles whose engines are in memory do not wait behind one whose engines are not. Nothing
limits how often the one is passed by.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from worker.pool.states import EngineState, EngineView, Load, Move, Plan, PoolState, Unload, Waiter

Decide = Callable[[PoolState, Sequence[Waiter], float], Plan]
Worth = Callable[[EngineView], float]


def loaded_first(engine: EngineView) -> float:
    """FIFO: the engine that has been in memory longest goes."""
    return engine.since


def used_last(engine: EngineView) -> float:
    """LRU: the engine that has rested longest goes."""
    return engine.last_used


def sharing(evicts: Worth, *, overtaking: bool = False) -> Decide:
    """A rule for ``simulate``. ``evicts``: where it is least, the engine goes, unless the next battle needs it."""

    def decide(state: PoolState, waiting: Sequence[Waiter], now: float) -> Plan:
        taken = {e.model: e.leases for e in state.engines.values()}
        grant: list[str] = []
        first: Waiter | None = None
        for waiter in waiting:
            engines = [state.engines[m] for m in waiter.models]
            if all(e.usable and taken[e.model] < e.seats for e in engines):
                grant.append(waiter.job)
                for e in engines:
                    taken[e.model] += 1
                continue
            if first is None and (not overtaking or not all(e.usable for e in engines)):
                first = waiter
            if not overtaking:
                break
        if first is None or state.moving is not None:
            return Plan(tuple(grant))
        return Plan(tuple(grant), move=_toward(state, first, taken, evicts))

    return decide


def _toward(state: PoolState, waiter: Waiter, taken: dict[str, int], evicts: Worth) -> Move | None:
    missing = [m for m in sorted(waiter.models) if not state.engines[m].usable]
    if not missing:
        return None
    if sum(e.resident for e in state.engines.values()) < state.capacity:
        return Load(missing[0])
    others = [e for e in state.engines.values() if e.state is EngineState.READY and e.model not in waiter.models]
    victim = min(others, key=evicts)
    return None if taken[victim.model] else Unload(victim.model, "room")
