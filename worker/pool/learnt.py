"""Sizes and costs the pool reckons with: the memory planner's estimates until this machine has measured better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from worker.contract.catalog import ModelSpec
from worker.memory import Bytes, Footprint
from worker.models.facts import Facts, facts_of
from worker.models.fitting import Fit
from worker.models.memory import footprint, kv_bytes_for, refined
from worker.pool.states import Costs


class LearntSizes:
    """:class:`worker.pool.sizes.Sizes` over a :class:`worker.models.fitting.Fit` and the models on this disk."""

    def __init__(self, fit: Fit, models_dir: Path) -> None:
        self._fit = fit
        self._scene = fit.scene
        self._measured = fit.measured
        self._models_dir = models_dir
        self._facts: dict[ModelSpec, Facts] = {}
        self._adapters: dict[str, tuple[str, ...]] = {e.id: e.adapters for e in fit.engines}

    def kv_bytes(self, spec: ModelSpec, capacity: int) -> int:
        if (known := self._fit.engine(spec.id)) is not None and known.spec == spec:
            return self._fit.kv_bytes(spec.id, capacity)
        return kv_bytes_for(spec, self._of(spec), capacity, self._scene.budget, on_gpu=self._scene.on_gpu)

    def footprint(self, spec: ModelSpec, adapters: Sequence[ModelSpec], kv_bytes: int) -> Footprint:
        self._adapters[spec.id] = tuple(a.id for a in adapters)
        facts = [self._of(a) for a in adapters]
        estimate = footprint(spec, self._of(spec), on_gpu=self._scene.on_gpu, kv_bytes=kv_bytes, adapters=facts)
        return refined(estimate, self._measured.get(spec, kv_bytes, self._adapters[spec.id]))

    def costs(self, spec: ModelSpec, kv_bytes: int) -> Costs | None:
        known = self._measured.get(spec, kv_bytes, self._adapters.get(spec.id, ()))
        if known is None or known.load_s is None:
            return None
        found = {k: v for k in ("load_s", "unload_s", "sleep_s", "wake_s") if (v := getattr(known, k)) is not None}
        return replace(Costs(), **found)

    def measured(self, spec: ModelSpec, kv_bytes: int, held: Bytes, before: Footprint) -> Footprint:
        if self._scene.on_gpu:
            return replace(before, resident=held)
        return Footprint(held, before.l1 and held, before.l2 and held)  # on a CPU sleep is a pause and frees nothing

    def learn(self, spec: ModelSpec, kv_bytes: int, held: Mapping[str, Bytes], seconds: Mapping[str, float]) -> None:
        if spec.engine != "vllm":
            return  # what a stand-in is told to take is no measurement
        self._measured.put(spec, kv_bytes, self._adapters.get(spec.id, ()), **held, **seconds)  # type: ignore[arg-type]

    def _of(self, spec: ModelSpec) -> Facts:
        found = self._facts.get(spec)
        if found is None:
            found = self._facts[spec] = facts_of(spec, self._models_dir)
        return found
