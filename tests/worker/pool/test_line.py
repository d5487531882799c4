"""What the promise on waiting is reckoned from: too little breaks it, too much turns people away for nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.worker.pool.facts import RULES, changed, decide, held, jobs, pool, slack
from worker.memory import Bytes, Footprint
from worker.pool import line
from worker.pool.states import EngineState, Unload, Wish

DRAINING, COLD, SLEEPING = EngineState.DRAINING, EngineState.COLD, EngineState.SLEEPING
BOUND = 60 + 30 + (10 + 10 + 1 + 1)
AC = frozenset("ac")


def test_the_bound_is_the_longest_wait_a_drain_and_the_switch_of_a_whole_pair() -> None:
    assert line.bound_s(pool("ab"), AC, RULES) == BOUND


def test_a_switch_is_reckoned_at_what_has_to_move() -> None:
    assert slack(pool("ab"), jobs("ac")) == BOUND - (10 + 10 + 1)
    assert slack(pool("ab"), jobs("cd")) == BOUND - (10 + 20 + 2)


def test_where_bytes_decide_all_places_may_have_to_go_for_one_engine() -> None:
    large = {m: {"footprint": Footprint(Bytes(1, 0))} for m in "abcd"}
    assert slack(pool("abd", capacity=3, engines=large), jobs("cd")) == BOUND - (10 + 10 + 2)


def test_engines_asleep_may_have_to_go_first() -> None:
    assert slack(changed(pool("ab"), "d", state=SLEEPING), jobs("ac")) == slack(pool("ab"), jobs("ac")) - 1


def test_a_pair_is_reckoned_to_find_what_every_pair_before_it_would_leave_in_memory() -> None:
    alone = slack(pool("ab"), jobs("ac"))
    both = [*jobs("ac"), *jobs("bc", since=1.0)]
    assert slack(pool("ab"), both) == alone + 1 - (10 + 10 + 1)
    nothing_shared = [*both, *jobs("ad", since=2.0)]
    assert slack(pool("ab"), nothing_shared) == alone + 2 - 2 * (10 + 20 + 2), "b and c may find a and d, or reverse"


def test_the_earliest_deadline_is_served_first_not_the_earliest_arrival() -> None:
    slow = changed(pool(), "a", costs=replace(pool().engines["a"].costs, load_s=100.0))
    order = line.in_line(slow, line.groups([*jobs("ab"), *jobs("cd", since=50.0)]))
    assert [g.models for g in order] == [frozenset("cd"), frozenset("ab")]


def test_a_job_of_a_group_that_loses_its_oldest_keeps_its_promise() -> None:
    first, second, other = jobs("ac")[0], replace(jobs("ac")[0], job="late", since=50.0), jobs("bd", since=10.0)
    assert slack(pool(), [second, *other], 55.0) >= slack(pool(), [first, second, *other], 55.0)


def test_many_rounds_are_reckoned_at_the_average_answer_and_one_longest() -> None:
    few, many = slack(pool("ab"), jobs("ac", 4)), slack(pool("ab"), jobs("ac", 24))
    assert few - many == 10 + 19 / 4 * 4
    assert slack(pool("ab"), jobs("ac", 5)) == few - 10


def test_what_a_begun_switch_has_behind_it_is_not_reckoned_again() -> None:
    state = pool("ab", switching=AC, begun=5.0)
    draining = changed(held(state, "b", 1), "ab", state=DRAINING, since=5.0)
    drained = changed(state, "ab", state=DRAINING, since=5.0)
    assert slack(drained, jobs("ac"), 5.0) - slack(draining, jobs("ac"), 5.0) == 10
    assert slack(draining, jobs("ac"), 5.0) == slack(draining, jobs("ac"), 9.0), "the drain has four seconds less to go"
    assert slack(draining, jobs("ac"), 16.0) < slack(draining, jobs("ac"), 15.0), "it takes longer than reckoned"
    loading = replace(changed(drained, "b", state=COLD), moving="c", move_left_s=3.0)
    assert slack(loading, jobs("ac"), 20.0) == BOUND - 20 - 3


def test_while_others_may_still_take_the_seats_of_a_kept_engine_a_drain_is_kept_in_reserve() -> None:
    state = changed(pool("ab", switching=AC), "b", state=DRAINING)
    assert slack(state, jobs("ac")) == slack(changed(state, "a", state=DRAINING), jobs("ac")) - 10


def test_an_engine_that_is_leaving_must_still_be_brought_back() -> None:
    state = changed(pool("a", switching=AC, moving="c", move_left_s=1.0), "a", state=DRAINING)
    loading, stopping = changed(state, "c", state=EngineState.LOADING), changed(state, "c", state=EngineState.STOPPING)
    falling_asleep = changed(state, "c", state=DRAINING)
    assert slack(loading, jobs("ac")) == BOUND - 1
    assert slack(stopping, jobs("ac")) == slack(falling_asleep, jobs("ac")) == BOUND - 1 - 10


def test_a_pinned_engine_that_is_out_of_memory_is_reckoned_to_come_first() -> None:
    state = pool("ab", capacity=3)
    out = changed(state, "d", pinned=True)
    assert slack(out, jobs("ac")) == slack(state, jobs("ac")) - (10 + 10 + 1) - (10 + 1), "a may go for it"
    assert slack(changed(out, "d", state=EngineState.FAILED, failed_until=9.0), jobs("ac")) == slack(out, jobs("ac"))
    begun = replace(out, switching=AC)
    assert slack(begun, jobs("ac")) > slack(out, jobs("ac")), "but not before a switch that has begun"
    assert slack(changed(out, "d", state=EngineState.READY), jobs("ac")) == slack(state, jobs("ac"))
    assert slack(out, []) == float("inf")


def test_seats_are_reckoned_by_how_long_each_has_been_kept() -> None:
    state = changed(pool("ab", switching=frozenset("ab")), "ab", state=DRAINING)
    full = held(held(state, "ab", 1, since=-5.0), "ab", 3, since=0.0)
    free = held(state, "ab", 3)
    assert slack(free, jobs("ab")) == BOUND
    assert slack(full, jobs("ab"), 2.0) == slack(full, jobs("ab"), 6.0) == BOUND - 10, (
        "kept since they drain, not before"
    )
    assert slack(full, jobs("ab", 5), 2.0) == pytest.approx(BOUND - 2 - (10 + 4 / 4 * 4 - 2))


def test_a_turn_in_progress_never_has_less_slack_than_before_it_was_begun() -> None:
    for n in (1, 4, 9, 30):
        for taken in (0, 2, 4):
            state = held(pool("ab"), "ab", taken)
            begun = replace(changed(state, "ab", state=DRAINING), switching=frozenset("ab"))
            assert slack(begun, jobs("ab", n)) >= slack(state, jobs("ab", n))


def test_haste_is_what_part_of_the_reckoned_answers_there_is_time_for() -> None:
    state, groups = pool("ab"), line.groups(jobs("ac"))
    assert line.haste(state, groups, BOUND - 30, RULES) == 1
    assert line.haste(state, groups, BOUND - 11 - 1 - 5, RULES) == 0.5
    assert line.haste(state, groups, BOUND, RULES) == 1, "a promise past keeping is no reason to cut anybody short"


def test_a_pair_in_memory_without_free_seats_is_decided_alike_before_and_after_its_turn_has_come() -> None:
    state, waiting = held(pool("ab"), "ab", 4), jobs("ab", 30)
    out_of_time = slack(state, waiting)
    first = decide(state, waiting, out_of_time)
    assert first.draining == {"a", "b"}
    drained = replace(changed(state, "ab", state=DRAINING, since=out_of_time), switching=first.switching)
    assert decide(replace(drained, begun=out_of_time), waiting, out_of_time).draining == first.draining


def test_an_engine_the_line_reckons_with_makes_no_room_for_a_wish() -> None:
    state = changed(held(pool("ab", wishes=(Wish("w", "load", "d"),)), "b", 1), "b", last_used=9.0)
    assert decide(state, [], 10.0).move == Unload("a", "room for d")
    assert decide(state, jobs("ac", since=9.0), 10.0).move is None


def test_what_is_expected_is_less_than_what_is_promised() -> None:
    waiting = line.groups([*jobs("ac"), *jobs("bc", since=1.0)])
    state = held(pool("ab"), "ab", 2)
    assert line.eta_s(state, [], frozenset("ab"), 2.0) == 0
    assert 0 < line.eta_s(state, waiting, AC, 2.0) < line.eta_s(state, waiting, frozenset("bc"), 2.0) < BOUND
    assert line.eta_s(replace(state, moving="a"), [], frozenset("ab"), 2.0) > 0, "it is falling asleep"
    assert 1 <= line.retry_s(state, waiting, RULES, 2.0) <= line.eta_s(state, waiting, AC, 2.0)
