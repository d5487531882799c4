"""The facts the pool decides on and the steps it can take: plain frozen values, no engines, no clock.

Times are seconds of the pool's clock. A *model* here is an engine's id: adapters share their base's engine, so several
contenders may be one model to the pool.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from worker.memory import NO_FOOTPRINT, NOTHING, Bytes, Footprint, Tier


class EngineState(StrEnum):
    """cold → starting → loading → ready → draining → sleeping → waking → verifying → ready; stopping → cold; failed."""

    COLD = "cold"
    STARTING = "starting"
    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"
    """In memory and able to answer, but only those it serves already and the pair memory turns to."""
    SLEEPING = "sleeping"
    WAKING = "waking"
    VERIFYING = "verifying"
    STOPPING = "stopping"
    FAILED = "failed"


_RESIDENT = frozenset(
    (
        EngineState.STARTING,
        EngineState.LOADING,
        EngineState.READY,
        EngineState.DRAINING,
        EngineState.WAKING,
        EngineState.VERIFYING,
        EngineState.STOPPING,
    )
)


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds of each step: averages of the engine's own timings, or an order of magnitude before the first."""

    load_s: float = 15.0
    unload_s: float = 1.0
    sleep_s: float = 1.0
    wake_s: float = 2.0


@dataclass(frozen=True, slots=True)
class EngineView:
    """One engine as the planner sees it."""

    model: str
    state: EngineState = EngineState.COLD
    since: float = 0.0
    """When it entered ``state``."""
    tier: Tier | None = None
    """How deep it sleeps, while it does."""
    leases: int = 0
    seats: int = 32
    """Leases it can serve together."""
    last_used: float = 0.0
    costs: Costs = Costs()
    footprint: Footprint = NO_FOOTPRINT
    reserved: Bytes = NOTHING
    """What the ledgers hold for it now."""
    failed_until: float = 0.0
    why: str = ""
    alive: bool = True
    pinned: bool = False
    elsewhere: bool = False
    """A remote contender: takes no memory and no place here."""
    retiring: bool = False
    """Its catalog entry is gone or has changed: takes no new leases and leaves when idle."""
    gone: bool = False
    """Its catalog entry is gone: jobs for it are refused."""

    @property
    def resident(self) -> bool:
        """Takes one of the ``capacity`` places."""
        return self.state in _RESIDENT and not self.elsewhere

    @property
    def usable(self) -> bool:
        """Can answer now."""
        return self.state in (EngineState.READY, EngineState.DRAINING) and self.alive

    @property
    def held(self) -> bool:
        """Has something to give back, and could."""
        return self.usable or self.state in (EngineState.READY, EngineState.DRAINING, EngineState.SLEEPING)

    @property
    def bring_s(self) -> float:
        """Seconds until it could answer, if its move began now."""
        if self.usable:
            return 0.0
        return self.costs.wake_s if self.state is EngineState.SLEEPING else self.costs.load_s


@dataclass(frozen=True, slots=True)
class Waiter:
    """A job waiting for all its models at once. ``session`` is whose it is, for fairness."""

    job: str
    models: frozenset[str]
    since: float
    owed: frozenset[str] = frozenset()
    """Those of ``models`` that were not ready when it began to wait."""
    session: str = ""
    admitted: bool = True
    """The bound on its wait has been promised; only a newcomer's has not."""


WishKind = Literal["load", "unload", "sleep", "wake"]


@dataclass(frozen=True, slots=True)
class Wish:
    """What an operator (or the preload list) asked of one engine; carried out when it harms nobody who waits."""

    id: str
    kind: WishKind
    model: str
    tier: Tier = "l1"


@dataclass(frozen=True, slots=True)
class Rules:
    """What the operator has set, and the planner's constants."""

    max_wait_s: float = 120.0
    drain_limit_s: float = 60.0
    idle_ttl_s: float = 0.0
    queue_bound: int = 100
    may_sleep: bool = False
    patience_s: float = 20.0
    """A job waits for an engine whose back-off ends within this; else it is refused."""
    tick_s: float = 1.0
    """Longest time between two plans: how late one that depends on the clock alone may be."""
    stay: float = 4.0
    """While more wait for the engines in memory than these can seat, a switch is worth it only after they have been
    there for this many times what the switch costs: at most a fifth of the time goes to switching."""


@dataclass(frozen=True, slots=True)
class Held:
    """A lease that is held: the engines of a running battle, since ``since``."""

    job: str
    models: frozenset[str]
    since: float


@dataclass(frozen=True, slots=True)
class PoolState:
    engines: Mapping[str, EngineView]
    capacity: int
    moving: str | None = None
    """The engine that moves now."""
    switching: frozenset[str] | None = None
    """The pair the last plan decided to make room for."""
    begun: float = 0.0
    """When that was decided."""
    landed: float = 0.0
    """When the last switch was complete."""
    move_left_s: float = 0.0
    """What is expected to remain of the current move."""
    answer_s: float = 30.0
    """The longest a battle has lately held its lease, with some to spare: what a drain is reckoned to take."""
    typical_s: float = 10.0
    """How long a battle holds its lease on average."""
    wishes: tuple[Wish, ...] = ()
    """Oldest first."""
    serving: Mapping[str, int] = field(default_factory=dict)
    """Leases held, by session."""
    leases: tuple[Held, ...] = ()
    """The same one by one; without it, seats are never taken back for a promise's sake."""

    def can_answer(self, model: str) -> bool:
        """Whether ``model`` could take a lease now: one that is falling asleep could not."""
        return self.engines[model].usable and model != self.moving

    @property
    def retiring(self) -> frozenset[str]:
        return frozenset(e.model for e in self.engines.values() if e.retiring)

    @property
    def reserved(self) -> Bytes:
        """What all engines together hold in the ledgers."""
        return sum((e.reserved for e in self.engines.values()), NOTHING)


@dataclass(frozen=True, slots=True)
class Load:
    model: str


@dataclass(frozen=True, slots=True)
class Wake:
    model: str


@dataclass(frozen=True, slots=True)
class Sleep:
    model: str
    tier: Tier
    why: str


@dataclass(frozen=True, slots=True)
class Unload:
    model: str
    why: str


Move = Load | Wake | Sleep | Unload


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a job will not be served.

    ``unavailable``: ``model`` failed lately or cannot be brought up. ``overloaded``: the bound on waiting cannot be
    kept; ``retry_after_s``. ``apart``: its models fit one at a time only.
    """

    job: str
    kind: Literal["unavailable", "overloaded", "apart"]
    model: str = ""
    why: str = ""
    retry_after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now."""

    grant: tuple[str, ...] = ()
    refuse: tuple[Refusal, ...] = ()
    move: Move | None = None
    draining: frozenset[str] = frozenset()
    """Engines that take no new leases, except the pair memory turns to."""
    preempt: frozenset[str] = frozenset()
    """Draining engines whose battles have had the drain limit and must end now."""
    ends: tuple[str, ...] = ()
    """Battles, by job, that must end now because somebody was promised their seat."""
    switching: frozenset[str] | None = None
    done: tuple[str, ...] = ()
    """Wishes that hold already or cannot be granted, by id."""
