"""What the pool asks about bytes: how large an engine will be, and how large it turned out to be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from worker.contract.catalog import ModelSpec
from worker.memory import NO_FOOTPRINT, Bytes, Footprint
from worker.pool.states import Costs


class Sizes(Protocol):
    """Estimates before the first load, measurements after it. Seconds and bytes; every method returns at once."""

    def kv_bytes(self, spec: ModelSpec, capacity: int) -> int:
        """KV cache to give the engine; more than the catalog's when it has the memory to itself."""
        ...

    def footprint(self, spec: ModelSpec, adapters: Sequence[ModelSpec], kv_bytes: int) -> Footprint:
        """What it will hold, awake and asleep."""
        ...

    def costs(self, spec: ModelSpec, kv_bytes: int) -> Costs | None:
        """Its steps as measured before, on this machine; None when never."""
        ...

    def measured(self, spec: ModelSpec, kv_bytes: int, held: Bytes, before: Footprint) -> Footprint:
        """``before``, corrected by what the resident engine holds."""
        ...

    def learn(self, spec: ModelSpec, kv_bytes: int, held: Mapping[str, Bytes], seconds: Mapping[str, float]) -> None:
        """Keep what one step measured: ``held`` by ``resident | l1 | l2``, ``seconds`` by field of Costs."""
        ...


class StatedSizes:
    """The catalog's KV bytes and nothing else: for stand-ins, and where memory is no concern."""

    def kv_bytes(self, spec: ModelSpec, capacity: int) -> int:
        return int(spec.kv_bytes)

    def footprint(self, spec: ModelSpec, adapters: Sequence[ModelSpec], kv_bytes: int) -> Footprint:
        return NO_FOOTPRINT

    def costs(self, spec: ModelSpec, kv_bytes: int) -> Costs | None:
        return None

    def measured(self, spec: ModelSpec, kv_bytes: int, held: Bytes, before: Footprint) -> Footprint:
        return before

    def learn(
        self, spec: ModelSpec, kv_bytes: int, held: Mapping[str, Bytes], seconds: Mapping[str, float]
    ) -> None: ...
