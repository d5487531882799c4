"""Who may start, and which one engine moves next: a pure decision over facts and a clock.

The decision, in order (the numbers are repeated in the code):

1. A dead engine is unloaded before anything else.
2. A job whose model lately failed to load is refused now rather than left waiting.
3. Which pair should memory turn to? A switch that has begun is finished first. Else the pair with a missing model
   whose jobs have waited longest together. It is *due* when nothing runs, or could start now, on the engines it would
   displace; when its jobs' summed waiting has reached the measured cost of the switch (staying and switching have cost
   the same by then: rent or buy); or when its oldest job has waited ``max_wait``.
4. Once due, the engines it displaces (least recently used first, never one it needs, never a pinned one) take no new
   leases: they drain, so the wait for them is bounded by the longest answer.
5. Jobs a switch was made for start when it lands, whatever else is due: a switch is never undone unused. Every other
   job whose models are all ready, and not draining, starts too, in order of arrival.
6. One move at a time: evict an idle victim while there is no room, else load what is missing.
7. With nobody waiting for a switch, an operator's wish is carried out by the same rules.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from worker.pool.states import EngineState, EngineView, Load, Plan, PoolState, Unload, Waiter


def plan(state: PoolState, waiting: Sequence[Waiter], now: float, max_wait: float) -> Plan:
    """See the module's text. ``waiting`` in order of arrival; times in seconds of one clock."""
    engines = state.engines
    refuse = tuple((w.job, bad) for w in waiting if (bad := _unavailable(engines, w, now)) is not None)  # (2)
    refused = {job for job, _ in refuse}
    candidates = [w for w in waiting if w.job not in refused]
    could_start = {m for w in candidates if not _missing(engines, w.models) for m in w.models}

    target, due = _switch(state, candidates, could_start, now, max_wait)  # (3)
    victims = _victims(state, target) if target is not None else []
    draining = frozenset(v.model for v in victims) if due else frozenset()  # (4)
    grant = tuple(  # (5)
        w.job
        for w in candidates
        if not _missing(engines, w.models) and (w.models == state.switching or not w.models & draining)
    )
    switching = target if due else None
    if state.moving:
        return Plan(grant, refuse, None, draining, switching)
    dead = next((e for e in engines.values() if e.state is EngineState.READY and not e.alive), None)
    if dead is not None:  # (1)
        return Plan(grant, refuse, Unload(dead.model, "died"), draining, switching)
    goal = switching
    if target is None and (wish := _wish(state, now)) is not None:  # (7)
        goal, victims = wish, _victims(state, wish)
    started = {m for w in candidates if w.job in set(grant) for m in w.models}
    move = _move(state, goal, victims, started, now) if goal is not None else None  # (6)
    return Plan(grant, refuse, move, draining, switching)


def _switch(
    state: PoolState, candidates: Sequence[Waiter], could_start: set[str], now: float, max_wait: float
) -> tuple[frozenset[str] | None, bool]:
    """``(pair, due)``: the pair memory should turn to, and whether now."""
    begun = state.switching
    if begun is not None and _missing(state.engines, begun) and any(w.models == begun for w in candidates):
        return begun, True
    target = _target(state.engines, candidates, now)
    if target is None:
        return None, False
    jobs = [w for w in candidates if w.models == target]
    return target, _due(state.engines, jobs, _victims(state, target), could_start, now, max_wait)


def _unavailable(engines: dict[str, EngineView], waiter: Waiter, now: float) -> str | None:
    for model in sorted(waiter.models):
        engine = engines.get(model)
        if engine is None or (engine.state is EngineState.FAILED and engine.failed_until > now):
            return model
    return None


def _missing(engines: dict[str, EngineView], models: Iterable[str]) -> list[EngineView]:
    return [engines[m] for m in sorted(models) if engines[m].state is not EngineState.READY or not engines[m].alive]


def _target(engines: dict[str, EngineView], waiting: Sequence[Waiter], now: float) -> frozenset[str] | None:
    waited: dict[frozenset[str], float] = defaultdict(float)
    for w in waiting:
        if _missing(engines, w.models):
            waited[w.models] += now - w.since + 1e-9
    return max(waited, key=lambda pair: waited[pair]) if waited else None


def _victims(state: PoolState, target: frozenset[str]) -> list[EngineView]:
    """The engines that must go so that ``target`` fits: as few as needed, idle before busy, then least recent."""
    resident = [e for e in state.engines.values() if e.resident]
    absent = sum(1 for m in target if not state.engines[m].resident)
    surplus = len(resident) + absent - state.capacity
    evictable = [e for e in resident if e.model not in target and not e.pinned]
    evictable.sort(key=lambda e: (e.leases > 0, e.last_used, e.model))
    return evictable[: max(surplus, 0)]


def _due(
    engines: dict[str, EngineView],
    jobs: Sequence[Waiter],
    victims: Sequence[EngineView],
    could_start: set[str],
    now: float,
    max_wait: float,
) -> bool:
    if not any(v.leases or v.model in could_start for v in victims):
        return True
    cost = sum(e.load_s for m in jobs[0].models if not (e := engines[m]).resident)
    waits = [now - w.since for w in jobs]
    return sum(waits) >= cost or max(waits) >= max_wait


def _wish(state: PoolState, now: float) -> frozenset[str] | None:
    for model in state.wanted:
        engine = state.engines[model]
        if not engine.resident and engine.failed_until <= now:
            return frozenset((model,))
    return None


def _move(
    state: PoolState, goal: frozenset[str], victims: Sequence[EngineView], busy: set[str], now: float
) -> Load | Unload | None:
    resident = sum(1 for e in state.engines.values() if e.resident)
    absent = [e for m in sorted(goal) if not (e := state.engines[m]).resident and e.failed_until <= now]
    if not absent:
        return None
    if resident < state.capacity:
        return Load(absent[0].model)
    idle = next((v for v in victims if v.state is EngineState.READY and v.leases == 0 and v.model not in busy), None)
    return Unload(idle.model, f"room for {absent[0].model}") if idle is not None else None
