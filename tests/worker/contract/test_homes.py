"""Which worker keeps what: every model has a place, demand decides how many, and little changes with little."""

from __future__ import annotations

from itertools import combinations

from worker.contract.homes import Homes, spread, steady
from worker.contract.residency import pair_key

MODELS = [f"m{n}" for n in range(8)]


def alike(workers: int, models: list[str] = MODELS) -> dict[str, frozenset[str]]:
    return {f"w{n}": frozenset(models) for n in range(workers)}


def zipf(models: list[str] = MODELS) -> dict[str, float]:
    rank = {m: n + 1 for n, m in enumerate(models)}
    return {pair_key(a, b): 60.0 / (rank[a] * rank[b]) for a, b in combinations(models, 2)}


def keeper_of(homes: Homes) -> dict[str, set[str]]:
    """Workers by anchor."""
    return {model: set(workers) for model, workers in homes.keepers.items()}


def test_every_model_is_kept_somewhere_and_the_wanted_ones_on_more_workers() -> None:
    homes = spread(alike(100), zipf())
    kept = {m: len(homes.keepers[m]) for m in MODELS}
    assert all(kept.values())
    assert kept["m0"] > 3 * kept["m2"] > 0
    assert sum(kept.values()) <= 100 + len(MODELS)


def test_with_fewer_workers_than_models_every_pair_still_has_a_home() -> None:
    homes = spread(alike(2), {})
    assert all(homes.of(pair_key(a, b)) for a, b in combinations(MODELS, 2))


def test_every_process_finds_the_same() -> None:
    one, other = spread(alike(20), zipf()), spread(alike(20), dict(reversed(zipf().items())))
    assert [one.of(k) for k in zipf()] == [other.of(k) for k in zipf()]


def test_a_pair_belongs_to_workers_that_keep_the_more_wanted_of_the_two() -> None:
    homes = spread(alike(100), zipf())
    for a, b in combinations(MODELS, 2):
        assert set(homes.of(pair_key(a, b))) <= set(homes.keepers[min(a, b)])
    assert len(homes.of("m0|m1")) > len(homes.of("m0|m7"))


def test_a_worker_that_leaves_takes_only_its_own_share() -> None:
    before, after = keeper_of(spread(alike(50), zipf())), keeper_of(spread(alike(49), zipf()))
    moved = sum(len(after[m] - before[m]) for m in MODELS)
    assert moved <= 1, "at most one model that had nobody else is taken over"


def test_noise_in_demand_moves_nothing_and_a_new_fashion_moves_its_part() -> None:
    before = spread(alike(50), zipf())
    noisy = spread(alike(50), {k: v * (1.2 if n % 2 else 0.85) for n, (k, v) in enumerate(zipf().items())}, before)
    assert noisy.keepers == before.keepers
    fashion = spread(alike(50), {**zipf(), "m6|m7": 60.0}, before)
    assert len(fashion.keepers["m7"]) > len(before.keepers["m7"])


def test_a_worker_keeps_only_what_it_can_hold() -> None:
    serves = {**alike(3, ["m0", "m1", "m2"]), "edge": frozenset({"m6", "m7"})}
    homes = spread(serves, {"m0|m1": 100.0, "m6|m7": 1.0})
    assert homes.of("m6|m7") == ("edge",)
    assert "edge" not in homes.of("m0|m1")
    assert homes.of("m0|m7") == (), "nobody has both"


def test_demand_stays_what_it_was_until_it_has_left_it_behind() -> None:
    assert steady({"a": 1.4, "b": 1.6, "c": 0.5}, {"a": 1.0, "b": 1.0, "c": 1.0}) == {"a": 1.0, "b": 1.6, "c": 0.5}
    assert steady({"new": 0.1}, {}) == {"new": 0.1}
