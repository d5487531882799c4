"""The planner's pure core: footprints, caches and what fits, for any sizes."""

from __future__ import annotations

import dataclasses
import re
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as changed

from tests.worker.models.sizes import GIB, MIB, catalog, entry, model, scene, sized
from worker.contract.catalog import ByteSize, Lora, ModelSpec, Remote
from worker.memory import NO_LIMIT, NOTHING, Bytes, Footprint
from worker.models.facts import Facts
from worker.models.fitting import check, fits, needs
from worker.models.headers import KvShape
from worker.models.measured import Measurement
from worker.models.memory import (
    CPU_PROCESS,
    GPU_OVERHEAD,
    GPU_RESIDUE,
    Scene,
    Sized,
    footprint,
    kv_bytes_at,
    kv_bytes_for,
    least_kv_bytes,
    refined,
    sized_engines,
)

FACTS = Facts(5 * GIB, "catalog", KvShape(128 * 1024), "catalog")

weights = st.integers(min_value=MIB, max_value=40 * GIB)
caches = st.integers(min_value=MIB, max_value=8 * GIB)
rates = st.integers(min_value=1024, max_value=512 * 1024)
memory = st.integers(min_value=GIB, max_value=100 * GIB)
depths = st.sampled_from(["off", "l1", "l2"])


@st.composite
def specs(draw: st.DrawFn, name: str = "tiny") -> ModelSpec:
    return entry(
        name,
        draw(weights),
        draw(caches),
        draw(rates),
        sleep=draw(depths),
        max_model_len=draw(st.sampled_from([512, 2048, 4096, 32768])),
        max_num_seqs=draw(st.integers(1, 64)),
        tensor_parallel=draw(st.sampled_from([1, 2, 4])),
    )


@st.composite
def scenes(draw: st.DrawFn, capacity: st.SearchStrategy[int] | None = None) -> Scene:
    gpu = draw(st.booleans())
    places = draw(capacity if capacity is not None else st.integers(1, 4))
    return scene(draw(memory) if gpu else 0, draw(memory), places)


def facts(spec: ModelSpec) -> Facts:
    return Facts(int(spec.weights_bytes), "catalog", KvShape(int(spec.kv_bytes_per_token)), "catalog")


# ── footprints ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_on_a_gpu_the_device_holds_weights_cache_and_overhead_and_the_host_a_process() -> None:
    held = footprint(model(sleep="l2"), FACTS, on_gpu=True, kv_bytes=GIB)
    assert held.resident.device == 6 * GIB + GPU_OVERHEAD
    assert 0 < held.resident.host < 4 * GIB
    assert held.l1 == Bytes(GPU_RESIDUE, held.resident.host + 5 * GIB)
    assert held.l2 == Bytes(GPU_RESIDUE, held.resident.host)


def test_on_a_cpu_all_of_it_is_the_hosts_and_sleep_gives_nothing_back() -> None:
    held = footprint(model(sleep="l2"), FACTS, on_gpu=False, kv_bytes=GIB)
    assert held.resident.device == 0
    assert held.resident.host >= 6 * GIB + CPU_PROCESS
    assert held.l1 == held.l2 == held.resident


@pytest.mark.parametrize(("sleep", "l1", "l2"), [("off", False, False), ("l1", True, False), ("l2", True, True)])
@pytest.mark.parametrize("on_gpu", [True, False])
def test_an_engine_sleeps_as_deep_as_its_entry_allows(sleep: str, l1: bool, l2: bool, on_gpu: bool) -> None:
    held = footprint(model(sleep=sleep), FACTS, on_gpu=on_gpu, kv_bytes=GIB)
    assert (held.l1 is not None, held.l2 is not None) == (l1, l2)


@pytest.mark.parametrize(
    "spec",
    [
        model("echo", engine="echo", sources=(), kv_bytes=ByteSize(0)),
        model("far", engine="remote", sources=(), remote=Remote("https://example.org/v1", "m")),
    ],
)
def test_stand_ins_and_remote_contenders_take_nothing(spec: ModelSpec) -> None:
    held = footprint(spec, Facts(), on_gpu=True, kv_bytes=0)
    assert {held.resident, held.l1, held.l2} <= {NOTHING, None}


def test_adapters_add_their_bytes_to_their_base() -> None:
    adapters = [Facts(100 * MIB, "files"), Facts(50 * MIB, "files")]
    alone = footprint(model(), FACTS, on_gpu=True, kv_bytes=GIB)
    served = footprint(model(), FACTS, on_gpu=True, kv_bytes=GIB, adapters=adapters)
    assert served.resident.device - alone.resident.device == 150 * MIB


@given(specs(), st.booleans())
def test_sleep_never_holds_more_of_the_device_than_being_resident_and_l2_no_more_than_l1(
    spec: ModelSpec, on_gpu: bool
) -> None:
    held = footprint(spec, facts(spec), on_gpu=on_gpu, kv_bytes=int(spec.kv_bytes))
    for asleep in (held.l1, held.l2):
        assert asleep is None or asleep.device <= held.resident.device
    if held.l1 and held.l2:
        assert held.l2.fits(held.l1)


@given(specs(), st.booleans(), st.integers(0, GIB))
def test_every_byte_of_cache_is_a_byte_of_the_footprint(spec: ModelSpec, on_gpu: bool, more: int) -> None:
    kv = int(spec.kv_bytes)
    small, large = (footprint(spec, facts(spec), on_gpu=on_gpu, kv_bytes=k).resident for k in (kv, kv + more))
    assert large - small == (Bytes(more, 0) if on_gpu else Bytes(0, more))


def test_measured_states_take_the_place_of_estimates_and_no_others() -> None:
    estimate = Footprint(Bytes(9, 9), Bytes(2, 9), None)
    found = refined(estimate, Measurement(resident=Bytes(7, 7), l2=Bytes(1, 1)))
    assert found == Footprint(Bytes(7, 7), Bytes(2, 9), None)
    assert refined(estimate, None) == estimate


def test_on_a_cpu_a_measured_engine_holds_the_same_asleep() -> None:
    estimate = footprint(model(sleep="l2"), FACTS, on_gpu=False, kv_bytes=GIB)
    held = Bytes(0, 7)
    assert refined(estimate, Measurement(resident=held)) == Footprint(held, held, held)


# ── the cache ────────────────────────────────────────────────────────────────────────────────────────────────────


@given(specs(), scenes())
def test_the_cache_is_never_less_than_the_catalogs_nor_more_than_is_of_use(spec: ModelSpec, where: Scene) -> None:
    stated, known = int(spec.kv_bytes), facts(spec)
    given_ = kv_bytes_for(spec, known, where.capacity, where.budget, on_gpu=where.on_gpu)
    assert known.kv is not None
    assert stated <= given_ <= max(stated, spec.max_num_seqs * known.kv.bytes_for(spec.max_model_len))
    if where.capacity > 1:
        assert given_ == stated


@given(specs(), scenes(capacity=st.just(1)))
def test_what_fits_with_the_catalogs_cache_still_fits_with_a_lone_engines_larger_one(
    spec: ModelSpec, where: Scene
) -> None:
    given_ = kv_bytes_for(spec, facts(spec), 1, where.budget, on_gpu=where.on_gpu)
    stated, alone = (
        footprint(spec, facts(spec), on_gpu=where.on_gpu, kv_bytes=kv).resident for kv in (int(spec.kv_bytes), given_)
    )
    assert alone.fits(where.budget) is stated.fits(where.budget)


def test_with_no_limit_a_lone_engine_gets_all_it_can_use() -> None:
    spec = model(max_num_seqs=4, max_model_len=4096)
    assert kv_bytes_for(spec, FACTS, 1, NO_LIMIT, on_gpu=True) == 4 * 4096 * 128 * 1024


def test_what_is_unknown_is_left_as_the_catalog_says() -> None:
    for unknown in (Facts(), Facts(GIB, "files"), Facts(None, "nothing", KvShape(1), "catalog")):
        assert kv_bytes_for(model(), unknown, 1, NO_LIMIT, on_gpu=True) == model().kv_bytes


def test_alone_in_memory_an_engine_leaves_the_others_room_to_sleep() -> None:
    entries = [entry(n, 5 * GIB, GIB, max_num_seqs=64, max_model_len=4096) for n in ("a", "b")]
    asleep, awake = (
        tuple(sized(e, where) for e in entries)
        for where in (scene(15 * GIB, capacity=1), scene(15 * GIB, capacity=1, may_sleep=False))
    )
    modest = kv_bytes_at(asleep, "a", scene(15 * GIB, capacity=1), 1)
    greedy = kv_bytes_at(awake, "a", scene(15 * GIB, capacity=1, may_sleep=False), 1)
    assert greedy - modest == GPU_RESIDUE


@given(specs())
def test_the_smallest_cache_holds_one_answer_in_whole_blocks(spec: ModelSpec) -> None:
    least = least_kv_bytes(spec, facts(spec))
    assert least is not None
    assert least >= spec.max_model_len * spec.kv_bytes_per_token
    assert least % (128 * spec.kv_bytes_per_token) == 0


# ── what fits ────────────────────────────────────────────────────────────────────────────────────────────────────


@st.composite
def catalogs(draw: st.DrawFn) -> tuple[tuple[Sized, ...], Scene]:
    where = draw(scenes(capacity=st.integers(2, 4)))
    count = draw(st.integers(2, 5))
    return tuple(sized(draw(specs(f"m{n}")), where, few_bits=draw(st.booleans())) for n in range(count)), where


@given(catalogs())
def test_every_pair_either_fits_or_is_named_in_a_problem_and_never_both(case: tuple[tuple[Sized, ...], Scene]) -> None:
    engines, where = case
    problems = check(engines, where)
    impossible = {m for p in problems if p.level == "impossible" for m in p.models}
    named = {frozenset(p.models) for p in problems if p.level == "warning" and len(p.models) == 2}
    for a, b in combinations(engines, 2):
        if {a.id, b.id} & impossible:
            continue
        assert fits((a, b), where) is (frozenset((a.id, b.id)) not in named)


@given(catalogs())
def test_what_fits_nowhere_alone_is_impossible_and_nothing_else_is(case: tuple[tuple[Sized, ...], Scene]) -> None:
    engines, where = case
    impossible = {m for p in check(engines, where) if p.level == "impossible" for m in p.models}
    for e in engines:
        least = least_kv_bytes(e.spec, e.facts)
        bad = not e.footprint.resident.fits(where.budget) or (least is not None and e.kv_bytes < least)
        assert (e.id in impossible) is bad


@given(catalogs())
def test_every_problem_is_one_line_that_ends_in_a_fix(case: tuple[tuple[Sized, ...], Scene]) -> None:
    engines, where = case
    for problem in check(engines, where):
        assert "\n" not in str(problem)
        fix = problem.message.rpartition("; ")[2]
        assert fix.startswith(("lower", "raise", "use", "give", "to have both", "with ARENA_MAX_RESIDENT=1")), fix


@given(catalogs())
def test_the_smaller_caches_that_are_advised_are_enough_and_still_hold_an_answer(
    case: tuple[tuple[Sized, ...], Scene],
) -> None:
    engines, where = case
    named = {e.id: e for e in engines}
    for problem in check(engines, where):
        fix = problem.message.rpartition("; ")[2].removeprefix("to have both, ").partition(", or ")[0]
        if not fix.startswith("lower kv_bytes"):
            continue
        meant = [named[m] for m in problem.models]
        for model_, text in re.findall(r"kv_bytes (?:of (\S+) )?to (\w+)", fix):
            e = named[model_ or problem.models[0]]
            kv = int(ByteSize.parse(text))
            assert kv >= (least_kv_bytes(e.spec, e.facts) or 0)
            smaller = footprint(e.spec, e.facts, on_gpu=where.on_gpu, kv_bytes=kv)
            meant = [dataclasses.replace(m, footprint=smaller) if m.id == e.id else m for m in meant]
        assert needs(meant).fits(where.budget)


@given(catalogs())
def test_a_set_that_fits_has_no_member_that_does_not(case: tuple[tuple[Sized, ...], Scene]) -> None:
    engines, where = case
    for some in combinations(engines, 3):
        if fits(some, where):
            assert all(fits(pair, where) for pair in combinations(some, 2))
            assert needs(some).fits(where.budget)


def test_an_enabled_adapter_brings_its_base_and_is_counted_into_it(tmp_path: Path) -> None:
    base = entry("base", 5 * GIB, GIB, enabled=False)
    tuned = model("tuned", sources=(), lora=Lora("base", path="~/nowhere"), weights_bytes=ByteSize(100 * MIB))
    other = entry("other", 5 * GIB, GIB)
    where = scene(20 * GIB)
    engines = sized_engines(catalog(base, tuned, other), tmp_path, where)
    assert [(e.id, e.adapters) for e in engines] == [("base", ("tuned",)), ("other", ())]
    bare = sized_engines(catalog(changed(base, enabled=True), other), tmp_path, where)
    assert engines[0].footprint.resident.device - bare[0].footprint.resident.device == 100 * MIB
