"""The pool's plan among the usual ways, on a virtual clock: what it promises it keeps, and it is worth having.

Seeds are fixed and the clock is virtual, so nothing here depends on the machine.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import replace
from statistics import median

import pytest

from ops.bench import chart, contention
from ops.bench.baselines import Worth, loaded_first, sharing, used_last
from ops.bench.contention import MEASURES, OTHERS, OURS, outcomes
from ops.bench.simulation import Battle, Outcome, World, arrivals, simulate
from worker.pool.states import Load, Plan, PoolState, Rules, Unload, Waiter

WORLD = World()
AB, AC, BC = frozenset("ab"), frozenset("ac"), frozenset("bc")


def ratio(ours: Sequence[Outcome], other: Sequence[Outcome], measure: str) -> float:
    of = MEASURES[measure][1]
    return median(of(a) / of(b) for a, b in zip(ours, other, strict=True))


def check_promise(ours: Sequence[Outcome]) -> None:
    for outcome in ours:
        assert max(outcome.waits) <= outcome.bound_s


def test_contended_engines_switch_a_third_as_often_as_lru_and_nobody_waits_half_as_long() -> None:
    ours, lru = (outcomes(WORLD, 240, 3, 0.8, name) for name in (OURS, "LRU"))
    assert ratio(ours, lru, "switches") <= 1 / 3
    assert ratio(ours, lru, "P95 wait") <= 1 / 2
    assert sum(o.refused for o in ours) <= 0.01 * 3 * 240
    check_promise(ours)


def test_overload_is_refused_and_whoever_is_not_starts_within_the_bound() -> None:
    ours = outcomes(WORLD, 300, 2, 1.5, OURS)
    assert all(o.refused for o in ours)
    assert all(len(o.waits) + o.refused == 300 for o in ours)
    check_promise(ours)


@pytest.mark.parametrize(
    "world",
    [
        replace(WORLD, models=5, fit=3),
        replace(WORLD, seats=2, answer_s=(1.0, 30.0)),
        replace(WORLD, load_s=40.0),
        replace(WORLD, load_s=0.5, rules=Rules(max_wait_s=20.0, drain_limit_s=10.0)),
    ],
    ids=["five engines, three fit", "two seats, long answers", "slow loads", "little patience"],
)
def test_the_promise_does_not_depend_on_what_things_cost(world: World) -> None:
    for utilisation in (0.6, 1.2):
        check_promise(outcomes(world, 150, 1, utilisation, OURS))


def test_a_battle_that_finds_its_engines_idle_does_not_wait() -> None:
    battles = [Battle("1", 0.0, AB, 5.0), Battle("2", 20.0, AB, 5.0)]
    for name in (OURS, *OTHERS):
        found = simulate(WORLD, battles, contention.contender(WORLD, name))
        assert (found.waits, found.loads, found.seconds) == ([0.0, 0.0], 0, 25.0)


def test_a_switch_costs_a_drain_an_unload_and_a_load() -> None:
    battles = [Battle("1", 0.0, AB, 5.0), Battle("2", 1.0, AC, 5.0)]
    found = simulate(WORLD, battles, OTHERS["LRU"])
    assert found.waits == [0.0, 5.0 - 1.0 + WORLD.unload_s + WORLD.load_s]
    assert found.loads == 1


def test_first_in_first_out_holds_up_those_whose_engines_are_there_and_overtaking_does_not() -> None:
    battles = [Battle("1", 0.0, AB, 5.0), Battle("2", 1.0, AC, 5.0), Battle("3", 2.0, AB, 5.0)]
    assert simulate(WORLD, battles, OTHERS["LRU"]).loads == 2
    overtaken = simulate(WORLD, battles, OTHERS["overtaking"])
    assert (overtaken.loads, overtaken.waits[:2]) == (1, [0.0, 0.0])


def test_lru_and_fifo_part_where_there_is_a_choice() -> None:
    world = replace(WORLD, models=4, fit=3)
    # a and b have been in memory equally long, b was used before a
    battles = [Battle("1", 0.0, BC, 1.0), Battle("2", 10.0, AC, 1.0), Battle("3", 20.0, frozenset("cd"), 1.0)]

    def victim(evicts: Worth) -> str:
        gone: list[str] = []
        decide = sharing(evicts)

        def noted(state: PoolState, waiting: Sequence[Waiter], now: float) -> Plan:
            decided = decide(state, waiting, now)
            gone.extend([decided.move.model] if isinstance(decided.move, Unload) else [])
            return decided

        simulate(world, battles, noted)
        return gone[0]

    assert (victim(used_last), victim(loaded_first)) == ("b", "a")


def test_the_same_seed_draws_the_same_battles_at_every_utilisation() -> None:
    half, full = arrivals(WORLD, 50, 0.5, 7), arrivals(WORLD, 50, 1.0, 7)
    assert [(b.models, b.answer_s) for b in half] == [(b.models, b.answer_s) for b in full]
    assert half[-1].at == pytest.approx(2 * full[-1].at)
    assert arrivals(WORLD, 50, 0.5, 8) != half


def test_the_world_refuses_what_no_machine_could_do() -> None:
    def crowded(state: PoolState, waiting: Sequence[Waiter], now: float) -> Plan:
        return Plan(move=Load("c"))

    with pytest.raises(AssertionError, match="no place for c"):
        simulate(WORLD, [Battle("1", 0.0, AC, 5.0)], crowded)


def test_decisions_that_undo_each_other_are_found() -> None:
    def flapping(state: PoolState, waiting: Sequence[Waiter], now: float) -> Plan:
        open_now = state.engines["a"].state.value == "ready"
        return Plan(draining=frozenset("a") if open_now else frozenset())

    with pytest.raises(AssertionError, match="undo each other"):
        simulate(WORLD, [Battle("1", 0.0, AC, 5.0)], flapping)


def test_the_picture_is_well_formed_and_has_a_curve_for_everybody() -> None:
    drawn = chart.drawn(WORLD, 12, outcomes)
    curves = ET.fromstring(drawn).findall("{http://www.w3.org/2000/svg}polyline")
    assert len(curves) == len(chart.CONTENDERS)


@pytest.mark.long
@pytest.mark.parametrize("utilisation", contention.UTILISATIONS)
def test_the_whole_bench_keeps_its_figures(utilisation: float) -> None:
    with contention.workers() as processes:
        ours, lru = (outcomes(WORLD, 600, 20, utilisation, n, each=processes.map) for n in (OURS, "LRU"))
    check_promise(ours)
    assert ratio(ours, lru, "switches") <= 1 / 3
    assert ratio(ours, lru, "P95 wait") <= 1 / 2
    if utilisation <= 0.8:
        assert sum(o.refused for o in ours) <= 0.01 * 20 * 600
