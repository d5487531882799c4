"""The memory planner's pure core: what an engine takes resident and asleep, and how large its KV cache may be.

Estimates, until a first load has been measured (:mod:`worker.models.measured`). On a GPU every device of a tensor
parallel engine is alike, so the device ledger counts one of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from worker.contract.catalog import Catalog, ModelSpec
from worker.memory import NO_FOOTPRINT, NOTHING, UNLIMITED, Bytes, Footprint
from worker.models.facts import Facts, facts_of
from worker.models.machine import find_gpu, host_available, parse_size, share_of
from worker.models.measured import Measured, Measurement

GPU_OVERHEAD = int(1.1 * 2**30)
"""Bytes an engine takes on a GPU besides weights and cache: context, activations, graphs. An estimate."""
GPU_RESIDUE = 2**30
"""Bytes of a GPU that a sleeping engine keeps: context and graphs. Published figures are 1 to 3 GiB; an estimate."""
GPU_PROCESS = 2 * 2**30
"""Host bytes of one device's engine process on a GPU: Python, torch, CUDA's libraries. An estimate."""
CPU_PROCESS = int(0.6 * 2**30)
"""Host bytes of an engine process on a CPU besides weights and cache. Measured with three models: 0.41 GiB after the
load and up to 0.15 more while prompts are read; pages shared with the forkserver count there."""
CPU_WEIGHTS = 1.7
"""Bytes held on a CPU per byte of weights: vLLM packs them anew for its kernels and keeps some of both. Measured: 1.7
with 0.5B and 135M in bf16. The cache is taken whole at the load."""

_STEP = 64 * 2**20
_SPARE = 32
"""One part in this many of the budget is left alone when a lone engine's cache takes what is free."""


@dataclass(frozen=True, slots=True)
class Sized:
    """One engine of a catalog with its sizes. ``adapters``: ids of the contenders that are LoRA adapters over it."""

    spec: ModelSpec
    facts: Facts
    kv_bytes: int
    footprint: Footprint
    adapters: tuple[str, ...] = ()
    adapter_facts: tuple[Facts, ...] = ()
    measurement: Measurement | None = None

    @property
    def id(self) -> str:
        return self.spec.id

    @property
    def takes_memory(self) -> bool:
        return self.spec.engine == "vllm"


@dataclass(frozen=True, slots=True)
class Scene:
    """Where engines are to run. ``capacity``: engines in memory at once; ``budget``: bytes they may take together."""

    budget: Bytes
    on_gpu: bool
    capacity: int
    may_sleep: bool
    device: str
    """``cpu``, or the GPU's name: measurements of one kind of device mean nothing on another."""


def footprint(
    spec: ModelSpec, facts: Facts, *, on_gpu: bool, kv_bytes: int, adapters: Sequence[Facts] = ()
) -> Footprint:
    """What the engine holds in each state. Remote contenders and stand-ins take nothing; unknown weights count none."""
    if spec.engine == "remote":
        return NO_FOOTPRINT
    if spec.engine == "echo":
        return _sleeps(spec, NOTHING, NOTHING, NOTHING)  # takes nothing, and goes through every state
    weights = facts.weights or 0
    loras = sum(a.weights or 0 for a in adapters)
    if not on_gpu:
        resident = Bytes(0, int(weights * CPU_WEIGHTS) + loras + kv_bytes + CPU_PROCESS)
        return _sleeps(spec, resident, resident, resident)  # on a CPU sleep is a pause and frees nothing
    processes = GPU_PROCESS * spec.tensor_parallel
    resident = Bytes(-(-weights // spec.tensor_parallel) + loras + kv_bytes + GPU_OVERHEAD, processes + loras)
    l1 = Bytes(GPU_RESIDUE, processes + weights + 2 * loras)
    return _sleeps(spec, resident, l1, Bytes(GPU_RESIDUE, processes + loras))


def refined(estimate: Footprint, measurement: Measurement | None) -> Footprint:
    """The estimate with every state that was measured in its place; asleep on a CPU is resident."""
    if measurement is None:
        return estimate
    resident = measurement.resident or estimate.resident

    def asleep(known: Bytes | None, guess: Bytes | None) -> Bytes | None:
        return guess and (known or (resident if guess == estimate.resident else guess))

    return Footprint(resident, asleep(measurement.l1, estimate.l1), asleep(measurement.l2, estimate.l2))


def least_kv_bytes(spec: ModelSpec, facts: Facts, tokens: int | None = None) -> int | None:
    """The smallest cache vLLM accepts: one answer of ``tokens`` (default ``max_model_len``) in whole blocks of 128."""
    if facts.kv is None:
        return None
    return facts.kv.bytes_for(-(-(tokens or spec.max_model_len) // 128) * 128)


def kv_bytes_for(
    spec: ModelSpec,
    facts: Facts,
    capacity: int,
    budget: Bytes,
    *,
    on_gpu: bool,
    adapters: Sequence[Facts] = (),
    reserve: Bytes = NOTHING,
) -> int:
    """The engine's KV cache in bytes: the catalog's, or with ``capacity`` 1 all that is free, as far as it is of use.

    Of use are ``max_num_seqs`` answers of ``max_model_len``. ``reserve`` is kept free for others that sleep meanwhile.
    Never less than the catalog's, whether that fits or not.
    """
    stated = int(spec.kv_bytes)
    if spec.engine != "vllm" or capacity > 1 or facts.kv is None or facts.weights is None:
        return stated
    bare = footprint(spec, facts, on_gpu=on_gpu, kv_bytes=0, adapters=adapters).resident
    room, held, kept = (
        (budget.device, bare.device, reserve.device) if on_gpu else (budget.host, bare.host, reserve.host)
    )
    most = spec.max_num_seqs * facts.kv.bytes_for(spec.max_model_len)
    free = most if room >= UNLIMITED else (room - room // _SPARE - held - kept) // _STEP * _STEP
    return max(stated, min(free, most))


def kv_bytes_at(engines: Sequence[Sized], model: str, scene: Scene, capacity: int) -> int:
    """:func:`kv_bytes_for` one engine among the others: alone in memory, it leaves them the room to sleep."""
    engine = next(e for e in engines if e.id == model)
    return kv_bytes_for(
        engine.spec,
        engine.facts,
        capacity,
        scene.budget,
        on_gpu=scene.on_gpu,
        adapters=engine.adapter_facts,
        reserve=_reserve(engine, engines, scene) if scene.may_sleep else NOTHING,
    )


def sized_engines(
    catalog: Catalog, models_dir: Path, scene: Scene, measured: Measured | None = None
) -> tuple[Sized, ...]:
    """Every engine the catalog's contenders need, in the file's order; adapters are counted into their base."""
    bare = tuple(_sized(spec, catalog, models_dir, scene) for spec in catalog.engines)
    return tuple(_with_cache(e, kv_bytes_at(bare, e.id, scene, scene.capacity), scene, measured) for e in bare)


def _sized(spec: ModelSpec, catalog: Catalog, models_dir: Path, scene: Scene) -> Sized:
    extra = catalog.adapters_of(spec.id)
    sized = Sized(
        spec,
        facts_of(spec, models_dir),
        int(spec.kv_bytes),
        NO_FOOTPRINT,
        tuple(a.id for a in extra),
        tuple(facts_of(a, models_dir) for a in extra),
    )
    return _with_cache(sized, sized.kv_bytes, scene, None)


def _with_cache(engine: Sized, kv_bytes: int, scene: Scene, measured: Measured | None) -> Sized:
    estimate = footprint(
        engine.spec, engine.facts, on_gpu=scene.on_gpu, kv_bytes=kv_bytes, adapters=engine.adapter_facts
    )
    found = measured.get(engine.spec, kv_bytes, engine.adapters) if measured else None
    return replace(engine, kv_bytes=kv_bytes, footprint=refined(estimate, found), measurement=found)


def scene_of(
    *,
    capacity: int,
    gpu_memory: str = "",
    host_memory: str = "",
    sleep: str = "auto",
    gpu: str = "",
) -> Scene:
    """The budgets as stated, else as this machine has them now. ``gpu_memory = "0"`` plans for the CPU on any machine.

    ``gpu``: the GPUs that are ours, where others have workers of their own, which want their part of the host's memory.

    Raises SettingsError for a size that is none.
    """
    host = parse_size(host_memory, "ARENA_HOST_MEMORY") if host_memory else int(host_available() * share_of(gpu))
    if gpu_memory:
        device = parse_size(gpu_memory, "ARENA_GPU_MEMORY")
        found = find_gpu(gpu) if device else None
        name = found.name if found else "gpu"
    else:
        found = find_gpu(gpu)
        device, name = (found.memory, found.name) if found else (0, "")
    on_gpu = device > 0
    return Scene(
        Bytes(device, host), on_gpu, capacity, sleep == "on" or (sleep == "auto" and on_gpu), name if on_gpu else "cpu"
    )


def _reserve(engine: Sized, engines: Sequence[Sized], scene: Scene) -> Bytes:
    """What the others hold asleep while this one is awake: as many as fit beside it with the catalog's cache."""
    kept = NOTHING
    for other in engines:
        asleep = other.footprint.l2 or other.footprint.l1
        if other.id != engine.id and asleep and (engine.footprint.resident + kept + asleep).fits(scene.budget):
            kept += asleep
    return kept


def _sleeps(spec: ModelSpec, resident: Bytes, l1: Bytes, l2: Bytes) -> Footprint:
    """``sleep = "l2"`` in the catalog allows both tiers."""
    return Footprint(resident, None if spec.sleep == "off" else l1, l2 if spec.sleep == "l2" else None)
