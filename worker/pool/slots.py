"""One slot per engine the catalog asks for: its entry, its adapters, what is known of it, the engine while it lives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from worker.contract.catalog import Catalog, ModelSpec
from worker.engines import Engine
from worker.memory import Bytes
from worker.pool.sizes import Sizes
from worker.pool.states import Costs, EngineState, EngineView

_AWAY = (EngineState.COLD, EngineState.FAILED)
Entry = tuple[ModelSpec, tuple[ModelSpec, ...]]
"""An engine's own entry and those of the adapters over it."""


@dataclass(slots=True)
class Slot:
    """What the pool knows of one engine. ``view`` is what plan() sees of it."""

    spec: ModelSpec
    adapters: tuple[ModelSpec, ...]
    view: EngineView
    engine: Engine | None = None
    kv_bytes: int = 0
    loads: int = 0
    wakes: int = 0
    failures: int = 0
    """Failed loads since the last good one."""
    crashes: int = 0
    """Deaths since it last answered to the end."""
    next: Entry | None = None
    """Its entry in a reloaded catalog, taken up once the engine is gone."""

    @property
    def away(self) -> bool:
        return self.view.state in _AWAY

    def contender(self, model: str) -> ModelSpec | None:
        """The entry ``model`` answers as here: the engine's own or an adapter's."""
        return next((s for s in (self.spec, *self.adapters) if s.id == model), None)


class Slots(dict[str, Slot]):
    """All of them by engine id, kept in step with the catalog and with what engines would take at this capacity."""

    def __init__(
        self,
        catalog: Catalog,
        sizes: Sizes,
        *,
        may_sleep: bool,
        clock: Callable[[], float],
        on_state: Callable[[], None],
        on_bytes: Callable[[str, Bytes], None],
    ) -> None:
        super().__init__()
        self.catalog = catalog
        self._sizes = sizes
        self._may_sleep = may_sleep
        self._clock = clock
        self._on_state = on_state
        self._on_bytes = on_bytes
        for model, (spec, adapters) in _entries(catalog).items():
            self[model] = Slot(spec, adapters, EngineView(model))

    def of(self, contender: str) -> Slot | None:
        """Where ``contender`` would answer; None when this catalog has no such model."""
        slot = self.get(self.catalog.engine_of(contender))
        return slot if slot is not None and slot.contender(contender) is not None else None

    def set(self, slot: Slot, **changes: object) -> None:
        """The one way an engine's view changes."""
        before = slot.view
        if "state" in changes and changes["state"] is not before.state:
            changes["since"] = self._clock()
        slot.view = replace(before, **changes)  # type: ignore[arg-type]
        if slot.view.reserved != before.reserved:
            self._on_bytes(slot.spec.id, slot.view.reserved)
        if "state" in changes:
            self._on_state()

    def take_up(self, catalog: Catalog) -> None:
        """New, changed and vanished entries; engines in use serve their battles to the end first."""
        entries = _entries(catalog)
        self.catalog = catalog
        for model, slot in self.items():
            if model not in entries:
                self.set(slot, retiring=True, gone=True)
            elif entries[model] != (slot.spec, slot.adapters):
                slot.next = entries[model]
                self.set(slot, retiring=not slot.away, gone=False)
            else:
                slot.next = None
                self.set(slot, retiring=False, gone=False)
        for model, (spec, adapters) in entries.items():
            if model not in self:
                self[model] = Slot(spec, adapters, EngineView(model))

    def reckon(self, capacity: int) -> None:
        """Estimate anew what engines that are away would take; forget those whose entry is gone."""
        for model, slot in list(self.items()):
            if not slot.away:
                continue
            if slot.view.gone and not slot.view.leases:
                del self[model]
                continue
            if slot.next is not None:
                (slot.spec, slot.adapters), slot.next = slot.next, None
                slot.loads = slot.failures = 0
                self.set(slot, retiring=False, failed_until=0.0)
            self._estimate(slot, capacity)

    def _estimate(self, slot: Slot, capacity: int) -> None:
        spec = slot.spec
        slot.kv_bytes = self._sizes.kv_bytes(spec, capacity)
        footprint = self._sizes.footprint(spec, slot.adapters, slot.kv_bytes)
        if not self._may_sleep:
            footprint = replace(footprint, l1=None, l2=None)
        costs = slot.view.costs if slot.loads else self._sizes.costs(spec, slot.kv_bytes) or _first_guess(spec)
        elsewhere = spec.engine == "remote"
        self.set(slot, footprint=footprint, costs=costs, seats=spec.max_num_seqs, elsewhere=elsewhere)


def _entries(catalog: Catalog) -> dict[str, Entry]:
    return {spec.id: (spec, catalog.adapters_of(spec.id)) for spec in catalog.engines}


def _first_guess(spec: ModelSpec) -> Costs:
    if spec.engine == "vllm":
        return Costs()
    return Costs(load_s=0.5, unload_s=0.1, sleep_s=0.1, wake_s=0.1)
