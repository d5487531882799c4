"""What a person waiting for a battle is told: a place in line or a fraction, for the battle as a whole.

Never per side: which of two models was already in memory would tell them apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from worker.pool.states import EngineState, PoolState, Waiter


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
    engines = [state.engines[m] for m in waiter.models]
    owed = [e for e in engines if e.state is not EngineState.READY]
    total = sum(e.load_s for e in owed)
    done = sum(min(now - since[e.model], e.load_s * 0.95) for e in owed if e.state is EngineState.LOADING)
    eta = round(max(total - done, 1.0))
    if not any(e.state is EngineState.LOADING for e in engines):
        return Queued(ahead + 1, float(eta) if ahead == 0 else None)
    fraction = done / total if total > 0 else 0.0
    return Loading(min(round(fraction * 20) / 20, 0.95), float(eta))
