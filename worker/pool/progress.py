"""What a person waiting for a battle is told: a place in line or a fraction, for the battle as a whole.

Never per side: which of two models was already in memory would tell them apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from worker.pool.states import EngineState, EngineView, PoolState, Waiter


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


def progress(
    state: PoolState, waiter: Waiter, line: Sequence[Waiter], since: Mapping[str, float], now: float
) -> Queued | Loading:
    """``since``: when each model's current load began, on the clock of ``now``."""
    ahead = 0
    for other in line:
        if other.job == waiter.job:
            break
        ahead += 1
    owed = [state.engines[m] for m in waiter.owed]
    total = sum(e.load_s for e in owed)
    done = sum(_done(e, since[e.model], now) for e in owed)
    eta = round(max(total - done, 1.0))
    if done <= 0:
        return Queued(ahead + 1, float(eta) if ahead == 0 else None)
    return Loading(min(round(done / total * 20) / 20, 0.95), float(eta))


def _done(engine: EngineView, since: float, now: float) -> float:
    """Seconds of the engine's loading that are behind us, never all of them before it is ready."""
    if engine.state is EngineState.READY:
        return engine.load_s
    return min(now - since, engine.load_s * 0.95) if engine.state is EngineState.LOADING else 0.0
