"""Which engines fit in memory together, which catalog is impossible, and what a person can change about it.

Pure: sizes in, words out. Every problem is one line that names the models, the reason and the fix.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, islice
from pathlib import Path
from typing import Literal

from worker.contract.catalog import Catalog
from worker.memory import NOTHING, Bytes
from worker.models import advice
from worker.models.measured import Measured
from worker.models.memory import Scene, Sized, kv_bytes_at, least_kv_bytes, scene_of, sized_engines
from worker.models.units import exact, round_up, spoken

MOST_SETS = 2000
"""Sets looked at; a catalog with more is judged by its pairs."""


@dataclass(frozen=True, slots=True)
class Problem:
    """``impossible``: the worker does not start. ``warning``: it serves, but not as well as was hoped."""

    level: Literal["impossible", "warning"]
    models: tuple[str, ...]
    message: str

    def __str__(self) -> str:
        return f"{' + '.join(self.models)}: {self.message}" if self.models else self.message


@dataclass(frozen=True, slots=True)
class Fit:
    """A catalog on a machine: what every engine takes, and what is wrong with that."""

    engines: tuple[Sized, ...]
    scene: Scene
    measured: Measured
    """Where the sizes come from that were measured, and where new measurements go."""
    problems: tuple[Problem, ...] = ()

    @property
    def impossible(self) -> tuple[Problem, ...]:
        return tuple(p for p in self.problems if p.level == "impossible")

    @property
    def warnings(self) -> tuple[Problem, ...]:
        return tuple(p for p in self.problems if p.level == "warning")

    def kv_bytes(self, model: str, capacity: int) -> int:
        """The KV cache of this engine with that many engines in memory at once: alone, it has the memory to itself."""
        return kv_bytes_at(self.engines, model, self.scene, capacity)

    def engine(self, model: str) -> Sized | None:
        """The engine that answers for this contender, be it the engine's own or an adapter over it."""
        return next((e for e in self.engines if model == e.id or model in e.adapters), None)


def plan_for(
    catalog: Catalog,
    models_dir: Path,
    *,
    capacity: int,
    gpu_memory: str = "",
    host_memory: str = "",
    sleep: str = "auto",
    gpu: str = "",
    pins: Sequence[str] = (),
) -> Fit:
    """Sizes, budgets and problems of a catalog on this machine, or on one with the stated memory.

    Empty sizes are asked of the machine; ``gpu``: only of these of its GPUs, and their part of its memory.
    Raises SettingsError for a size that is none.
    """
    scene = scene_of(capacity=capacity, gpu_memory=gpu_memory, host_memory=host_memory, sleep=sleep, gpu=gpu)
    measured = Measured.load(models_dir, scene.device)
    engines = sized_engines(catalog, models_dir, scene, measured)
    return Fit(engines, scene, measured, tuple(check(engines, scene, pins)))


def check(engines: Sequence[Sized], scene: Scene, pins: Sequence[str] = ()) -> list[Problem]:
    """What is wrong, the impossible first. With no problem, every pair can be in memory together."""
    problems = [Problem("impossible", (e.id,), why) for e in engines for why in _impossible(e, scene)]
    problems += _pinned(engines, scene, pins)
    problems += [Problem("warning", (e.id,), why) for e in engines for why in _odd(e)]
    if scene.capacity > 1:
        bad = {m for p in problems if p.level == "impossible" for m in p.models}
        fine = [e for e in engines if e.id not in bad]
        problems += (
            Problem("warning", (a.id, b.id), advice.for_pair(a, b, scene))
            for a, b in combinations(fine, 2)
            if not fits((a, b), scene)
        )
    return sorted(problems, key=lambda p: p.level != "impossible")


def needs(engines: Sequence[Sized]) -> Bytes:
    """What they hold when all of them are resident."""
    return sum((e.footprint.resident for e in engines), NOTHING)


def fits(engines: Sequence[Sized], scene: Scene) -> bool:
    """Whether they can all be resident at once, by places and by bytes. What takes no memory takes no place."""
    placed = [e for e in engines if e.takes_memory]
    return len(placed) <= scene.capacity and needs(placed).fits(scene.budget)


def pairs(engines: Sequence[Sized]) -> Iterator[tuple[Sized, Sized]]:
    """Every two engines a battle may need, in the catalog's order."""
    return combinations(engines, 2)


def sets(engines: Sequence[Sized], scene: Scene) -> list[tuple[tuple[Sized, ...], bool]]:
    """With a capacity above two: the sets that fill it, each with whether it fits; at most :data:`MOST_SETS`."""
    placed = [e for e in engines if e.takes_memory]
    places = min(scene.capacity, len(placed))
    if places < 3:
        return []
    return [(some, fits(some, scene)) for some in islice(combinations(placed, places), MOST_SETS)]


def asleep_beside(resident: Sequence[Sized], engines: Sequence[Sized], scene: Scene) -> list[tuple[Sized, str]]:
    """Which others can sleep while these are resident, each in the shallowest tier that fits, in the file's order."""
    held, found = needs(resident), []
    for other in engines if scene.may_sleep and scene.on_gpu else ():
        if other in resident or not other.takes_memory:
            continue
        tiers = (("l1", other.footprint.l1), ("l2", other.footprint.l2))
        for tier, bytes_ in tiers:
            if bytes_ is not None and (held + bytes_).fits(scene.budget):
                held += bytes_
                found.append((other, tier))
                break
    return found


def _impossible(engine: Sized, scene: Scene) -> Iterator[str]:
    spec, least = engine.spec, least_kv_bytes(engine.spec, engine.facts)
    if least is not None and engine.facts.kv is not None and engine.kv_bytes < least:
        holds = engine.kv_bytes // engine.facts.kv.per_token
        fix = f"raise kv_bytes to {exact(round_up(least))}"
        if holds // 128 * 128 > spec.max_tokens:
            fix += f" or lower max_model_len to {holds // 128 * 128}"
        yield (
            f"kv_bytes of {spoken(engine.kv_bytes)} holds {holds} tokens, fewer than one answer of "
            f"max_model_len = {spec.max_model_len}; {fix}"
        )
    if not engine.footprint.resident.fits(scene.budget):
        yield advice.for_one(engine, scene)


def _odd(engine: Sized) -> Iterator[str]:
    yield from engine.facts.notes
    if not engine.takes_memory:
        return
    if engine.facts.weights is None:
        yield "its size is unknown until fetched, so it is planned as taking none; state weights_bytes in the catalog"
    if engine.facts.kv is None:
        yield "its KV bytes per token are unknown until fetched; state kv_bytes_per_token in the catalog"


def _pinned(engines: Sequence[Sized], scene: Scene, pins: Sequence[str]) -> Iterator[Problem]:
    pinned = [e for e in engines if e.takes_memory and (e.id in pins or set(pins) & set(e.adapters))]
    names = tuple(e.id for e in pinned)
    if len(pinned) > scene.capacity:
        fix = f"unpin {len(pinned) - scene.capacity} or raise ARENA_MAX_RESIDENT"
        yield Problem("impossible", names, f"{len(pinned)} are pinned and {scene.capacity} may be in memory; {fix}")
    elif len(pinned) > 1 and not fits(pinned, scene):
        over = advice.excess(needs(pinned), scene)
        yield Problem("impossible", names, f"pinned, but {over} more than there is; unpin one or lower their kv_bytes")
