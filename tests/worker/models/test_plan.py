"""What the plan says of a catalog: what is impossible, what is served in turn, and the fix in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.processes import ROOT
from tests.worker.models.sizes import GIB, MIB, catalog, entry, folder, model, scene, sized
from worker.contract.catalog import ByteSize, Catalog, load_catalog
from worker.models.fitting import Fit, asleep_beside, check, fits, plan_for, sets
from worker.models.memory import Scene
from worker.models.units import exact, gib, round_down, round_up, spoken

SEED_NOTES = load_catalog(Path(__file__).with_name("seed_notes.toml"))
T4 = load_catalog(ROOT / "ops" / "catalogs" / "t4.toml")


def planned(entries: Catalog, models_dir: Path, gpu: str, host: str = "16GiB", capacity: int = 2) -> Fit:
    return plan_for(entries, models_dir, capacity=capacity, gpu_memory=gpu, host_memory=host)


def problems(where: Scene, *engines: tuple[str, int, int], **fields: object) -> list[str]:
    """Of engines given as ``(id, weights, kv_bytes)``."""
    return [str(p) for p in check([sized(entry(*e, **fields), where) for e in engines], where)]


# ── the first notes, and what can be served instead ──────────────────────────────────────────────────────────────


def test_three_fp16_models_cannot_load_on_a_t4_and_the_fix_is_their_awq_builds(models_dir: Path) -> None:
    fit = planned(SEED_NOTES, models_dir, "15GiB")
    assert [p.models for p in fit.impossible] == [("llama-3.1-8b",), ("mistral-7b",), ("qwen-2.5-7b",)]
    assert all("use the AWQ build" in p.message for p in fit.impossible)
    assert "needs 17.09 GiB of GPU memory, and there are 15.00 GiB" in fit.impossible[0].message


def test_in_three_tenths_of_16_gb_not_even_one_of_them_loads(models_dir: Path) -> None:
    assert len(planned(SEED_NOTES, models_dir, "4.8GB", capacity=1).impossible) == 3


def test_the_awq_builds_of_the_same_models_fit_a_t4_in_every_pair(models_dir: Path) -> None:
    fit = planned(T4, models_dir, "14.5GiB")
    assert fit.problems == ()


def test_what_the_catalogs_state_of_these_models_is_what_their_configs_say() -> None:
    for entries in (SEED_NOTES, T4):
        rates = {m.id: m.kv_bytes_per_token // 1024 for m in entries.models}
        assert rates == {"llama-3.1-8b": 128, "mistral-7b": 128, "qwen-2.5-7b": 56}


def test_with_a_lone_engine_at_a_time_each_gets_a_larger_cache(models_dir: Path) -> None:
    two, one = planned(T4, models_dir, "14.5GiB"), planned(T4, models_dir, "14.5GiB", capacity=1)
    for pair, alone in zip(two.engines, one.engines, strict=True):
        assert alone.kv_bytes > 3 * pair.kv_bytes
        assert alone.kv_bytes == one.kv_bytes(alone.id, 1)
        assert pair.kv_bytes == one.kv_bytes(alone.id, 2)
        assert alone.footprint.resident.fits(one.scene.budget)


# ── the words ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_cache_that_does_not_hold_one_answer_is_impossible_and_both_fixes_are_named() -> None:
    (said,) = problems(scene(20 * GIB), ("a", GIB, 256 * MIB), max_model_len=4096)
    assert said == (
        "a: kv_bytes of 256 MiB holds 2048 tokens, fewer than one answer of max_model_len = 4096; "
        "raise kv_bytes to 512MiB or lower max_model_len to 2048"
    )


def test_a_little_too_much_is_mended_by_a_smaller_cache() -> None:
    (said,) = problems(scene(7 * GIB), ("a", 5 * GIB, GIB))
    assert said.startswith("a: needs 7.10 GiB of GPU memory, and there are 7.00 GiB; lower kv_bytes to 896MiB")


def test_16_bit_weights_that_nearly_fill_the_device_are_offered_a_shorter_context_too() -> None:
    (said,) = problems(scene(15 * GIB), ("a", 27 * GIB // 2, GIB), max_model_len=4096)
    assert (
        "use the AWQ build (4-bit weights, about 5.4 GB), or lower max_model_len to 2048 with kv_bytes 384MiB" in said
    )


def test_a_shorter_context_shortens_the_longest_answer_where_it_must() -> None:
    (said,) = problems(scene(15 * GIB), ("a", 27 * GIB // 2, GIB), max_model_len=4096, max_tokens=3000)
    assert said.endswith("lower max_model_len to 2048 with kv_bytes 384MiB and max_tokens 1024")


def test_when_nothing_about_it_helps_the_machine_must_grow() -> None:
    where = scene(4 * GIB)
    (said,) = check([sized(entry("a", 5 * GIB, 512 * MIB), where, few_bits=True)], where)
    assert said.message == (
        "needs 6.60 GiB of GPU memory, and there are 4.00 GiB; "
        "use a GPU with 6.60 GiB, tensor_parallel = 4 on as many of these, or a smaller model"
    )


def test_a_cpu_machine_that_is_too_small_says_so() -> None:
    (said,) = problems(scene(host=2 * GIB), ("a", 5 * GIB, 256 * MIB))
    assert said.endswith("use a smaller model, or a machine with 9.35 GiB free")


def test_sums_that_look_alike_are_told_in_finer_units() -> None:
    (said,) = problems(scene(7 * GIB - MIB), ("a", 5 * GIB, GIB - int(0.1 * GIB)))
    assert "needs 7168 MiB of GPU memory, and there are 7167 MiB" in said


def test_a_pair_that_does_not_fit_is_served_in_turn_and_the_fix_is_a_smaller_cache() -> None:
    where = scene(13 * GIB)
    (said,) = check([sized(entry(n, 5 * GIB, GIB), where, few_bits=True) for n in "ab"], where)
    assert str(said) == (
        "a + b: one at a time only, their battles answered one side after the other: both need 14.20 GiB of GPU "
        "memory, and there are 13.00 GiB; to have both, lower kv_bytes of a to 384MiB and kv_bytes of b to 384MiB"
    )


def test_a_pair_whose_weights_alone_are_too_much_may_have_the_memory_in_turn() -> None:
    where = scene(10 * GIB)
    both = [sized(entry(n, 5 * GIB, GIB), where, few_bits=True) for n in "ab"]
    (said,) = check(both, where)
    assert (said.level, said.models) == ("warning", ("a", "b"))
    assert said.message.endswith("with ARENA_MAX_RESIDENT=1 each has all of it in turn")


def test_host_memory_that_two_processes_exceed_is_asked_for() -> None:
    (said,) = problems(scene(40 * GIB, host=3 * GIB), ("a", GIB, GIB), ("b", GIB, GIB))
    assert said.endswith("to have both, give the machine 1 GiB more host memory")


def test_with_one_engine_at_a_time_no_pair_is_a_problem() -> None:
    assert problems(scene(8 * GIB, capacity=1), ("a", 5 * GIB, GIB), ("b", 5 * GIB, GIB)) == []


def test_a_pair_with_an_impossible_model_is_not_named_again() -> None:
    said = problems(scene(8 * GIB), ("a", 50 * GIB, GIB), ("b", 5 * GIB, GIB))
    assert len(said) == 1


# ── pins, notes, the unknown ─────────────────────────────────────────────────────────────────────────────────────


def test_pins_beyond_the_places_or_the_memory_are_impossible() -> None:
    where = scene(14 * GIB)
    engines = [sized(entry(n, 5 * GIB, GIB), where) for n in "abc"]
    (many, *_) = check(engines, where, pins=("a", "b", "c"))
    assert str(many) == "a + b + c: 3 are pinned and 2 may be in memory; unpin 1 or raise ARENA_MAX_RESIDENT"
    (heavy, *_) = check(engines, where, pins=("a", "b"))
    assert heavy.level == "impossible"
    assert "pinned, but 205 MiB of GPU memory more than there is" in heavy.message
    assert all(p.level == "warning" for p in check(engines, where, pins=("a",)))


def test_what_is_unknown_until_fetched_is_said_and_does_not_stop_the_worker(models_dir: Path) -> None:
    unknown = model("a", weights_bytes=ByteSize(0))
    fit = planned(catalog(unknown, entry("b", GIB, GIB)), models_dir, "15GiB")
    assert fit.impossible == ()
    assert [p.models for p in fit.warnings] == [("a",), ("a",)]
    assert "unknown until fetched" in fit.warnings[0].message


def test_damaged_weights_are_a_warning_that_names_the_file(models_dir: Path) -> None:
    place = folder(models_dir / "a", {"num_hidden_layers": 1})
    (place / "model.safetensors").write_bytes(b"half")
    fit = planned(catalog(entry("a", GIB, GIB), entry("b", GIB, GIB)), models_dir, "15GiB")
    assert fit.impossible == ()
    assert str(place / "model.safetensors") in str(fit.warnings[0])


def test_stand_ins_need_no_memory_and_no_place(models_dir: Path) -> None:
    echo = load_catalog(ROOT / "ops" / "catalogs" / "echo.toml")
    fit = planned(echo, models_dir, "1MiB", "1MiB", capacity=1)
    assert fit.problems == ()
    assert fits(fit.engines, fit.scene)


# ── sets, and who sleeps beside whom ─────────────────────────────────────────────────────────────────────────────


def test_with_more_places_the_sets_that_fill_them_are_looked_at() -> None:
    where = scene(22 * GIB, capacity=3)
    engines = [sized(entry(n, w * GIB, GIB), where) for n, w in (("a", 5), ("b", 5), ("c", 5), ("d", 8))]
    assert {"".join(e.id for e in some): ok for some, ok in sets(engines, where)} == {
        "abc": True,
        "abd": False,
        "acd": False,
        "bcd": False,
    }


def test_the_shallowest_tier_that_fits_is_where_the_others_sleep() -> None:
    where = scene(16 * GIB, host=10 * GIB)
    a, b, c = (sized(entry(n, 5 * GIB, GIB, sleep=tier), where) for n, tier in (("a", "l1"), ("b", "off"), ("c", "l2")))
    assert asleep_beside((a, b), (a, b, c), where) == [(c, "l2")]
    roomy = scene(16 * GIB, host=32 * GIB)
    assert asleep_beside((a, b), (a, b, c), roomy) == [(c, "l1")]
    assert asleep_beside((a, c), (a, b, c), roomy) == []


def test_a_contenders_engine_is_found_by_its_own_or_its_adapters_id(models_dir: Path) -> None:
    fit = planned(T4, models_dir, "15GiB")
    found = fit.engine("mistral-7b")
    assert found is not None
    assert found.id == "mistral-7b"
    assert fit.engine("nobody") is None


# ── units ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("amount", [1, 1023, 1024, 384 * MIB, GIB, 3 * GIB // 2, 10**9])
def test_a_size_to_paste_is_read_back_as_the_same_number(amount: int) -> None:
    assert ByteSize.parse(exact(amount)) == amount


def test_sizes_to_read_are_short_and_rounding_goes_the_safe_way() -> None:
    assert [spoken(n) for n in (512, 23040, 384 * MIB, 5_740_000_000)] == ["512 B", "22.5 KiB", "384 MiB", "5.3 GiB"]
    assert gib(5_740_000_000) == "5.35 GiB"
    assert (round_down(1000 * MIB), round_down(100 * MIB + 5), round_up(MIB + 1)) == (960 * MIB, 100 * MIB, 2 * MIB)
