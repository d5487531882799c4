"""Figures as operators read them: bytes, seconds, models that belong together, moves."""

from __future__ import annotations

import math
from collections.abc import Iterable

from worker.memory import UNLIMITED, Bytes
from worker.models.units import spoken
from worker.pool.states import Move, Sleep, Unload


def seconds(value: float) -> float | None:
    """To a tenth; None for what never comes."""
    return round(value, 1) + 0.0 if math.isfinite(value) else None


def size(amount: int) -> str:
    return "unlimited" if amount >= UNLIMITED // 2 else spoken(amount) if amount >= 0 else f"-{spoken(-amount)}"


def sizes(held: Bytes) -> str:
    """``9.8 GiB device, 2.0 GiB host``; a ledger that holds nothing is left out."""
    parts = [(held.device, "device"), (held.host, "host")]
    return ", ".join(f"{size(amount)} {where}" for amount, where in parts if amount) or "nothing"


def raw(held: Bytes) -> dict[str, int]:
    """What the ledgers hold for it, for programs."""
    return {"reserved_device_bytes": held.device, "reserved_host_bytes": held.host}


def together(models: Iterable[str]) -> str:
    return " + ".join(sorted(models))


def step(move: Move) -> str:
    """``sleep bee (l1): room for ant``."""
    does = type(move).__name__.lower()
    if isinstance(move, Sleep):
        return f"{does} {move.model} ({move.tier}): {move.why}"
    return f"{does} {move.model}: {move.why}" if isinstance(move, Unload) else f"{does} {move.model}"
