"""The operator's side of the pool: what may be asked of it, checked, explained and given an id at once."""

from __future__ import annotations

import difflib

from worker.contract.catalog import Catalog
from worker.errors import AdminError
from worker.memory import NOTHING, Tier
from worker.pool.operations import Operation
from worker.pool.pool import Pool
from worker.pool.slots import Slot
from worker.pool.states import EngineState, Wish


class Desk:
    """Every method returns the operation it began, or raises AdminError saying why not and what would."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def load(self, model: str) -> Operation:
        """Bring an engine up when that takes nothing from those who wait."""
        slot = self._known(model)
        if slot.view.usable:
            raise AdminError(f"{model} is already {slot.view.state}")
        self._has_room(model)
        return self._wish("load", model, "will load" + self._behind())

    def wake(self, model: str) -> Operation:
        """Bring a sleeping engine back."""
        slot = self._known(model)
        if slot.view.state is not EngineState.SLEEPING:
            raise AdminError(f"{model} is {slot.view.state}, not sleeping; load it instead")
        return self._wish("wake", model, "will wake" + self._behind())

    def unload(self, model: str) -> Operation:
        """End an engine as soon as the battles it serves have ended; it takes no new ones until then."""
        slot = self._leaving(model)
        if slot.away:
            raise AdminError(f"{model} is not in memory")
        return self._wish("unload", model, self._when(slot, "unloads"))

    def sleep(self, model: str, tier: Tier = "l1") -> Operation:
        """Put an engine to sleep as soon as the battles it serves have ended."""
        self._here(model, "put to sleep")
        slot = self._leaving(model)
        if not self._pool.rules.may_sleep:
            raise AdminError("engines do not sleep here; set ARENA_SLEEP=on, or unload it")
        if not slot.view.usable:
            raise AdminError(f"{model} is {slot.view.state}; only an engine in memory can be put to sleep")
        asleep = slot.view.footprint.asleep(tier)
        if asleep is None:
            allowed = slot.spec.sleep in (tier, "l2")
            why = "it frees too little" if allowed else f"its catalog entry says sleep = {slot.spec.sleep!r}"
            raise AdminError(f"{model} does not sleep at {tier}: {why}; unload it instead")
        total = self._pool.state().reserved - slot.view.reserved + slot.view.reserved.most(asleep)
        if not total.fits(self._pool.ledgers):
            raise AdminError(f"the host's memory has no room for {model} asleep at {tier}; unload it instead")
        frees = "" if asleep != slot.view.footprint.resident else ", which frees nothing here"
        return self._wish("sleep", model, self._when(slot, f"sleeps ({tier}{frees})"), tier)

    def pin(self, model: str) -> Operation:
        """Keep an engine in memory, loading it if need be; refused when the pins would not fit together."""
        slot = self._here(model, "pin")
        if slot.view.pinned:
            raise AdminError(f"{model} is pinned already")
        self._has_room(model)
        self._pool.change(slot, pinned=True)
        if slot.view.usable:
            return self._at_once("pin", model, f"{model} stays in memory")
        return self._wish("load", model, "is pinned and will load", command="pin")

    def unpin(self, model: str) -> Operation:
        """Let an engine be evicted again."""
        slot = self._known(model)
        if not slot.view.pinned:
            raise AdminError(f"{model} is not pinned")
        self._pool.change(slot, pinned=False)
        return self._at_once("unpin", model, f"{model} may be evicted again")

    def set_capacity(self, capacity: int) -> Operation:
        """How many engines may be in memory at once. With 1, a battle's sides are answered in turn."""
        pins = [s.spec.id for s in self._pool.slots.values() if s.view.pinned]
        if capacity < max(1, len(pins)):
            why = f"pinned are {', '.join(pins)}; unpin some first" if capacity else "give 1 or more"
            raise AdminError(f"capacity cannot be {capacity}: {why}")
        before = self._pool.capacity
        self._pool.set_capacity(capacity)
        return self._at_once("set_capacity", str(capacity), f"capacity is {capacity}; it was {before}")

    def reload_catalog(self, catalog: Catalog, note: str = "") -> Operation:
        """Take up a catalog read anew; engines whose entry changed or went leave once their battles have ended."""
        old, new = {s.id: s for s in self._pool.slots.catalog.entries}, {s.id: s for s in catalog.entries}
        added = sorted(new.keys() - old.keys())
        removed = sorted(old.keys() - new.keys())
        changed = sorted(m for m in new.keys() & old.keys() if new[m] != old[m])
        self._pool.set_catalog(catalog)
        parts = [f"{what} {', '.join(ids)}" for what, ids in _named(added, removed, changed) if ids]
        return self._at_once("reload_catalog", "", ("; ".join(parts) or "nothing changed") + note)

    # ── what they share ──────────────────────────────────────────────────────────────────────────────────────────

    def _known(self, model: str) -> Slot:
        slots = self._pool.slots
        slot = slots.get(slots.catalog.engine_of(model))
        if slot is None:
            there = sorted(m for m, s in slots.items() if not s.view.gone)
            close = difflib.get_close_matches(model, there, n=1)
            meant = f"did you mean {close[0]}? " if close else ""
            raise AdminError(f"no model {model!r} in the catalog; {meant}there are: {', '.join(there)}")
        if slot.spec.id != model:
            raise AdminError(f"{model} is an adapter; its engine is {slot.spec.id}")
        if slot.view.gone:
            raise AdminError(f"{model} has left the catalog and goes when its battles have ended")
        return slot

    def _here(self, model: str, to: str) -> Slot:
        slot = self._known(model)
        if slot.view.elsewhere:
            raise AdminError(f"{model} answers from elsewhere and takes no memory here; there is nothing to {to}")
        return slot

    def _leaving(self, model: str) -> Slot:
        slot = self._known(model)
        if slot.view.pinned:
            raise AdminError(f"{model} is pinned; unpin it first: celery -A worker control unpin {model}")
        return slot

    def _has_room(self, model: str) -> None:
        stay = {s.spec.id: s for s in self._pool.slots.values() if s.view.pinned and not s.view.elsewhere}
        stay[model] = self._pool.slots[model]
        held = sum((s.view.footprint.resident for s in stay.values()), NOTHING)
        others = ", ".join(sorted(stay.keys() - {model}))
        if len(stay) > self._pool.capacity:
            taken = "is pinned and takes the one place" if len(stay) == 2 else "are pinned and take all places"
            raise AdminError(f"{others} {taken} there is; unpin one, or: celery -A worker control set_capacity")
        if not held.fits(self._pool.ledgers):
            beside = f" beside {others}, pinned" if others else ""
            raise AdminError(f"{model} does not fit in memory{beside}; see: celery -A worker inspect memory")

    def _when(self, slot: Slot, does: str) -> str:
        n = slot.view.leases
        if n == 0:
            return does
        return f"{does} when the {n} battles it serves have ended" if n > 1 else f"{does} when its battle has ended"

    def _behind(self) -> str:
        n = self._pool.waiting
        return f" when that takes nothing from {n} waiting battle{'s' * (n > 1)}" if n else ""

    def _wish(self, kind: str, model: str, detail: str, tier: Tier = "l1", command: str = "") -> Operation:
        operation = self._pool.operations.begin(command or kind, model, f"{model} {detail}")
        self._pool.wish(Wish(operation.id, kind, model, tier))  # type: ignore[arg-type]
        return operation

    def _at_once(self, command: str, subject: str, detail: str) -> Operation:
        return self._pool.operations.at_once(command, subject, detail)


def _named(added: list[str], removed: list[str], changed: list[str]) -> tuple[tuple[str, list[str]], ...]:
    return ("added", added), ("removed", removed), ("changed", changed)
