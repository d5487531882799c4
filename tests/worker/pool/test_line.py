"""What the promise on waiting is reckoned from: too little breaks it, too much turns people away for nothing."""

from __future__ import annotations

from dataclasses import replace

from worker.memory import NO_LIMIT
from worker.pool import line
from worker.pool.plan import plan
from worker.pool.states import Costs, EngineState, EngineView, PoolState, Rules, Unload, Waiter, Wish

RULES = Rules(max_wait_s=60.0, drain_limit_s=30.0)
COSTS = Costs(load_s=10.0, unload_s=1.0, sleep_s=1.0)


def pool(up: str, **more: object) -> PoolState:
    engines = {
        m: EngineView(m, EngineState.READY if m in up else EngineState.COLD, seats=4, costs=COSTS) for m in "abcd"
    }
    return PoolState(engines, 2, answer_s=10.0, typical_s=4.0, **more)  # type: ignore[arg-type]


def jobs(models: str, n: int, since: float = 0.0) -> list[Waiter]:
    return [Waiter(f"{models}{i}", frozenset(models), since) for i in range(n)]


def slack(state: PoolState, waiting: list[Waiter], now: float = 0.0, **more: bool) -> float:
    return line.slack_s(state, line.groups(waiting), now, RULES, **more)


def bound(models: str = "ac") -> float:
    return line.bound_s(pool("ab"), models, RULES)


def test_the_bound_is_the_longest_wait_a_drain_and_the_switch_of_a_whole_pair() -> None:
    assert bound() == 60 + 30 + (10 + 10 + 1 + 1)


def test_a_switch_is_reckoned_at_what_has_to_move() -> None:
    one, both = slack(pool("ab"), jobs("ac", 1)), slack(pool("ab"), jobs("cd", 1))
    assert one == bound() - (10 + 10 + 2)
    assert both == one - 10


def test_a_pair_is_reckoned_to_find_what_the_pair_before_it_leaves_in_memory() -> None:
    alone = slack(pool("ab"), jobs("ac", 1))
    assert slack(pool("ab"), [*jobs("ac", 1), *jobs("bc", 1, since=1.0)]) == alone + 1 - (10 + 10 + 2)


def test_many_rounds_are_reckoned_at_the_average_answer_and_one_longest() -> None:
    few, many = slack(pool("ab"), jobs("ac", 4)), slack(pool("ab"), jobs("ac", 24))
    assert few - many == 10 + 19 / 4 * 4
    assert slack(pool("ab"), jobs("ac", 5)) == few - 10


def test_what_a_begun_switch_has_behind_it_is_not_reckoned_again() -> None:
    waiting = jobs("ac", 1)
    state = pool("ab", switching=frozenset("ac"), begun=5.0)
    busy = {**state.engines, "b": replace(state.engines["b"], leases=1)}
    draining, drained = replace(state, engines=busy), state
    assert slack(drained, waiting, 5.0) - slack(draining, waiting, 5.0) == 10
    assert slack(draining, waiting, 5.0) == slack(draining, waiting, 9.0), "the drain has four seconds less to go"
    assert slack(draining, waiting, 5.0, drained=True) == slack(drained, waiting, 5.0)
    cold = {**state.engines, "b": replace(state.engines["b"], state=EngineState.COLD)}
    loading = replace(state, engines=cold, moving="c", move_left_s=3.0)
    assert slack(loading, waiting, 20.0) == bound() - 20 - 3


def test_a_pair_in_memory_without_free_seats_is_decided_alike_before_and_after_its_turn_has_come() -> None:
    state = pool("ab")
    full = {**state.engines, **{m: replace(state.engines[m], leases=4) for m in "ab"}}
    waiting = jobs("ab", 30)
    state = replace(state, engines=full)
    out_of_time = slack(state, waiting)
    first = plan(state, waiting, NO_LIMIT, out_of_time, RULES)
    assert first.draining == {"a", "b"}
    drained = {m: replace(e, state=EngineState.DRAINING) if m in "ab" else e for m, e in full.items()}
    again = replace(state, engines=drained, switching=first.switching, begun=out_of_time)
    assert plan(again, waiting, NO_LIMIT, out_of_time, RULES).draining == first.draining


def test_an_engine_the_line_reckons_with_makes_no_room_for_a_wish() -> None:
    state = pool("ab", wishes=(Wish("w", "load", "d"),))
    engines = {**state.engines, "b": replace(state.engines["b"], leases=1, last_used=9.0)}
    state = replace(state, engines=engines)
    assert plan(state, [], NO_LIMIT, 10.0, RULES).move == Unload("a", "room for d")
    assert plan(state, jobs("ac", 1, since=9.0), NO_LIMIT, 10.0, RULES).move is None
