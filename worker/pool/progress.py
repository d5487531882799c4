"""What a person waiting for a battle is told: a place in line or a fraction, for the battle as a whole.

Never per side: which of two models was already in memory would tell them apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from worker.pool import line
from worker.pool.states import EngineState, EngineView, PoolState, Waiter

_COMING = (EngineState.STARTING, EngineState.LOADING, EngineState.WAKING, EngineState.VERIFYING)


@dataclass(frozen=True, slots=True)
class Queued:
    """``position`` 1 is next. ``eta_s`` whole seconds, None when unknown."""

    position: int
    eta_s: float | None


@dataclass(frozen=True, slots=True)
class Loading:
    """``fraction`` of the loading this battle still had to wait for, 0 to 1, in steps of 0.05."""

    fraction: float
    eta_s: float | None


def progress(state: PoolState, waiter: Waiter, waiting: Sequence[Waiter], now: float) -> Queued | Loading:
    """``waiting`` in order of arrival, ``waiter`` among them."""
    owed = [state.engines[m] for m in waiter.owed if m in state.engines]
    total = sum(e.costs.load_s for e in owed)
    done = sum(_done(e, now) for e in owed)
    if done > 0 and total > 0:
        left = max(total - done, 1.0)
        return Loading(min(round(done / total * 20) / 20, 0.95), float(round(left)))
    groups = line.groups(waiting)
    return Queued(_position(state, groups, waiter), float(max(round(line.eta_s(state, groups, waiter.models, now)), 1)))


def _position(state: PoolState, groups: list[line.Group], waiter: Waiter) -> int:
    ahead = 0
    for group in line.in_line(state, groups):
        if group.models == waiter.models:
            return ahead + 1 + sum(w.since < waiter.since for w in group.jobs)
        ahead += len(group.jobs)
    return ahead + 1


def _done(engine: EngineView, now: float) -> float:
    """Seconds of the engine's coming that are behind us, never all of them before it is ready."""
    if engine.usable:
        return engine.costs.load_s
    if engine.state not in _COMING:
        return 0.0
    return min(now - engine.since, engine.costs.load_s * 0.95)
