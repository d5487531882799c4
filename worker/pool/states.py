"""The facts the pool decides on: plain frozen values, no engines, no clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class EngineState(StrEnum):
    """cold → loading → ready → stopping → cold; any → failed until its back-off has passed."""

    COLD = "cold"
    LOADING = "loading"
    READY = "ready"
    STOPPING = "stopping"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class EngineView:
    """One catalog model as the planner sees it. Times are seconds of the pool's clock."""

    model: str
    state: EngineState = EngineState.COLD
    leases: int = 0
    last_used: float = 0.0
    load_s: float = 10.0
    """What bringing it up costs: measured, or the catalog's order of magnitude before the first load."""
    failed_until: float = 0.0
    why: str = ""
    alive: bool = True
    pinned: bool = False

    @property
    def resident(self) -> bool:
        return self.state in (EngineState.LOADING, EngineState.READY, EngineState.STOPPING)


@dataclass(frozen=True, slots=True)
class Waiter:
    """A job waiting for all its models at once."""

    job: str
    models: frozenset[str]
    since: float
    owed: frozenset[str] = frozenset()
    """Those of ``models`` that were not ready when it began to wait."""


@dataclass(frozen=True, slots=True)
class PoolState:
    engines: dict[str, EngineView]
    capacity: int
    moving: bool = False
    switching: frozenset[str] | None = None
    """The pair the last plan decided to make room for."""
    wanted: tuple[str, ...] = ()
    """Loads an operator (or the preload list) asked for, oldest first."""


@dataclass(frozen=True, slots=True)
class Load:
    model: str


@dataclass(frozen=True, slots=True)
class Unload:
    model: str
    why: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now. ``draining``: engines that take no new leases until the switch to ``switching`` is done."""

    grant: tuple[str, ...] = ()
    refuse: tuple[tuple[str, str], ...] = ()
    """(job, model that failed)."""
    move: Load | Unload | None = None
    draining: frozenset[str] = field(default_factory=frozenset)
    switching: frozenset[str] | None = None
