"""Bytes in the two ledgers: the device's memory and the host's. On a CPU everything an engine holds is the host's.

The pool reserves before anything moves, so these are plain values that can be added and compared without an engine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Tier = Literal["l1", "l2"]
"""How deep an engine sleeps: ``l1`` keeps the weights in host memory, ``l2`` drops them and reads them again."""

UNLIMITED = 2**62


@dataclass(frozen=True, slots=True)
class Bytes:
    """An amount in each ledger."""

    device: int = 0
    host: int = 0

    def __add__(self, other: Bytes) -> Bytes:
        return Bytes(self.device + other.device, self.host + other.host)

    def __sub__(self, other: Bytes) -> Bytes:
        return Bytes(self.device - other.device, self.host - other.host)

    def most(self, other: Bytes) -> Bytes:
        """The larger of both in each ledger: what a move from one state to the other may hold meanwhile."""
        return Bytes(max(self.device, other.device), max(self.host, other.host))

    def fits(self, budget: Bytes) -> bool:
        return self.device <= budget.device and self.host <= budget.host


NOTHING = Bytes()
NO_LIMIT = Bytes(UNLIMITED, UNLIMITED)


@dataclass(frozen=True, slots=True)
class Footprint:
    """What one engine holds when it is resident, and asleep in each tier; None where it is not to sleep that deep."""

    resident: Bytes = NOTHING
    l1: Bytes | None = None
    l2: Bytes | None = None

    def asleep(self, tier: Tier) -> Bytes | None:
        return self.l1 if tier == "l1" else self.l2


NO_FOOTPRINT = Footprint()
