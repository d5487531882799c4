"""``inspect engines``: what the pool knows of each engine, in numbers for programs and words for people."""

from __future__ import annotations

from typing import Any

from worker.control.words import raw, seconds, sizes
from worker.models.measured import Measurement
from worker.pool.slots import Slot
from worker.report import generating
from worker.runtime import Runtime

_COSTS = ("load_s", "unload_s", "sleep_s", "wake_s")


def engine_facts(runtime: Runtime) -> dict[str, Any]:
    """By engine id; ``costs`` are expectations, of which those in ``costs_measured`` were timed on this machine."""
    pool = runtime.pool
    now = pool.clock()
    return {
        "capacity": pool.capacity,
        "accepting": runtime.accepting,
        "running": generating(pool),
        "waiting": pool.waiting,
        "engines": {model: _facts(slot, measurement(runtime, slot), now) for model, slot in pool.slots.items()},
    }


def measurement(runtime: Runtime, slot: Slot) -> Measurement:
    """What was measured of this engine as it is set up now, in this life of the worker or an earlier one."""
    known = runtime.fit.measured.get(slot.spec, slot.kv_bytes, [a.id for a in slot.adapters])
    return known or Measurement()


def _timed(slot: Slot, measured: Measurement) -> list[str]:
    here = {"load_s": slot.loads, "wake_s": slot.wakes, "sleep_s": slot.wakes}
    return [name for name in _COSTS if here.get(name) or getattr(measured, name) is not None]


def _facts(slot: Slot, measured: Measurement, now: float) -> dict[str, Any]:
    view = slot.view
    facts: dict[str, Any] = {
        "state": str(view.state),
        "leases": view.leases,
        "seats": view.seats,
        "loads": slot.loads,
        "pinned": view.pinned,
        "costs": {name: round(getattr(view.costs, name), 2) for name in _COSTS},
        "costs_measured": ", ".join(_timed(slot, measured)) or "none",
        "reserved": sizes(view.reserved),
        **raw(view.reserved),
    }
    if view.since:
        facts["in_state_s"] = seconds(now - view.since)
    if view.tier:
        facts["tier"] = view.tier
    if view.last_used and view.held:
        facts["idle_s"] = 0.0 if view.leases else seconds(now - view.last_used)
    if slot.wakes:
        facts["wakes"] = slot.wakes
    if slot.crashes:
        facts["crashes"] = slot.crashes
    if view.failed_until > now:
        facts |= {"failed_for_s": seconds(view.failed_until - now), "why": view.why}
    if slot.adapters:
        facts["adapters"] = [a.id for a in slot.adapters]
    if view.elsewhere:
        facts["remote"] = True
    if view.retiring:
        facts["retiring"] = "its catalog entry is gone" if view.gone else "its catalog entry has changed"
    return facts
