"""``inspect memory``: the two ledgers, and what each engine holds in them and would."""

from __future__ import annotations

from typing import Any

from worker.control.engines import measurement
from worker.control.words import raw, size, sizes
from worker.memory import UNLIMITED, Bytes
from worker.pool.slots import Slot
from worker.runtime import Runtime


def memory_facts(runtime: Runtime) -> dict[str, Any]:
    """``device`` is None where engines run on the CPU."""
    pool = runtime.pool
    reserved = pool.state().reserved
    here = [s for s in pool.slots.values() if not s.view.elsewhere]
    return {
        "capacity": pool.capacity,
        "places_taken": sum(s.view.resident for s in here),
        "pins": sorted(s.spec.id for s in here if s.view.pinned),
        "sleep": "on" if pool.rules.may_sleep else "off",
        "device": _ledger(pool.ledgers.device, reserved.device) if pool.ledgers.device else None,
        "host": _ledger(pool.ledgers.host, reserved.host),
        "engines": {s.spec.id: _engine(runtime, s) for s in here},
    }


def _ledger(budget: int, reserved: int) -> dict[str, Any]:
    limited = budget < UNLIMITED
    return {
        "budget": size(budget),
        "reserved": size(reserved),
        "free": size(budget - reserved) if limited else size(UNLIMITED),
        "budget_bytes": budget if limited else None,
        "reserved_bytes": reserved,
    }


def _engine(runtime: Runtime, slot: Slot) -> dict[str, Any]:
    footprint = slot.view.footprint
    known = measurement(runtime, slot)
    facts: dict[str, Any] = {
        "state": str(slot.view.state),
        "reserved": sizes(slot.view.reserved),
        **raw(slot.view.reserved),
        "kv_cache": size(slot.kv_bytes),
        "resident": _state(footprint.resident, known.resident is not None),
    }
    if footprint.l1 is not None:
        facts["asleep_l1"] = _state(footprint.l1, known.l1 is not None)
    if footprint.l2 is not None:
        facts["asleep_l2"] = _state(footprint.l2, known.l2 is not None)
    return facts


def _state(held: Bytes, measured: bool) -> str:
    return f"{sizes(held)} ({'measured' if measured else 'estimated'})" if held != Bytes() else "nothing"
