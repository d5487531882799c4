"""The decision, rule by rule: numbers refer to worker/pool/plan.py."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.worker.pool.facts import COSTS, RULES, changed, decide, held, jobs, pool, slack
from worker.memory import Bytes, Footprint
from worker.pool.refusals import overloaded
from worker.pool.states import Costs, EngineState, Load, Refusal, Rules, Sleep, Unload, Waiter, Wake

READY, COLD, FAILED, LOADING = EngineState.READY, EngineState.COLD, EngineState.FAILED, EngineState.LOADING
DRAINING, SLEEPING, STOPPING = EngineState.DRAINING, EngineState.SLEEPING, EngineState.STOPPING
SLOW = replace(COSTS, load_s=20.0)
AB, AC, CD = frozenset("ab"), frozenset("ac"), frozenset("cd")


# ── (1) who is refused ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_job_whose_model_failed_lately_is_refused() -> None:
    state = pool("a", engines={"b": {"state": FAILED, "failed_until": 50.0, "why": "no"}})
    assert decide(state, jobs("ab"), 10.0).refuse == (Refusal("ab0", "unavailable", "b", "no"),)


def test_a_job_waits_for_a_back_off_that_is_nearly_over() -> None:
    state = pool("a", engines={"b": {"state": FAILED, "failed_until": 50.0}})
    assert decide(state, jobs("ab"), 46.0).refuse == ()
    assert decide(state, jobs("ab"), 46.0).move is None


def test_a_failed_model_is_tried_again_after_its_back_off() -> None:
    state = pool("a", engines={"b": {"state": FAILED, "failed_until": 50.0}})
    assert decide(state, jobs("ab"), 51.0).move == Load("b")


def test_a_job_for_a_model_that_left_the_catalog_is_refused() -> None:
    gone = pool("ab", engines={"b": {"state": READY, "gone": True, "retiring": True}})
    assert decide(gone, jobs("ab"), 1.0).refuse[0].kind == "unavailable"
    assert decide(pool("ab"), [Waiter("x", frozenset("az"), 0.0)], 1.0).refuse[0].model == "z"


def test_a_pair_that_fits_one_at_a_time_only_is_to_be_asked_for_in_turn() -> None:
    large = {m: {"footprint": Footprint(Bytes(6, 0))} for m in "ab"}
    assert decide(pool(capacity=1), jobs("ab"), 1.0).refuse == (Refusal("ab0", "apart"),)
    assert decide(pool(engines=large), jobs("ab"), 1.0, ledgers=Bytes(10, 0)).refuse == (Refusal("ab0", "apart"),)


def test_a_model_larger_than_memory_is_refused_and_so_is_one_a_pin_leaves_no_room_for() -> None:
    large = {"a": {"footprint": Footprint(Bytes(20, 0))}}
    assert "larger" in decide(pool(engines=large), jobs("ab"), 1.0, ledgers=Bytes(10, 0)).refuse[0].why
    pinned = pool("d", capacity=1, engines={"d": {"state": READY, "pinned": True}})
    assert "beside d, which is pinned" in decide(pinned, jobs("ab"), 1.0).refuse[0].why


def test_a_remote_model_takes_no_place() -> None:
    state = pool("ac", capacity=1, engines={"c": {"state": READY, "elsewhere": True}})
    assert decide(state, jobs("ac"), 1.0).grant == ("ac0",)


def test_a_newcomer_the_promise_could_not_be_kept_to_is_refused_with_a_time_to_come_back() -> None:
    state = held(pool("ab"), "ab", 4)
    before = [*jobs("ac"), *jobs("bd"), *jobs("bc")]
    newcomer = jobs("ad", admitted=False)
    assert slack(state, before) > 2
    assert slack(state, [*before, *newcomer]) < 2
    refusal = decide(state, [*before, *newcomer], 0.0).refuse[0]
    assert (refusal.job, refusal.kind) == ("ad0", "overloaded")
    assert refusal.retry_after_s >= 1
    assert overloaded(state, before, frozenset("ad"), 0.0, RULES) == refusal.retry_after_s
    assert overloaded(state, [], frozenset("ad"), 0.0, RULES) is None


def test_the_queue_bound_refuses_too() -> None:
    state, bounded = held(pool("ab"), "ab", 4), replace(RULES, queue_bound=2)
    waiting = [*jobs("ab", 2), *jobs("ac", admitted=False)]
    assert [r.kind for r in decide(state, waiting, 0.0, bounded).refuse] == ["overloaded"]
    assert decide(state, waiting, 0.0).refuse == ()


def test_whoever_was_admitted_is_never_refused_for_want_of_time() -> None:
    assert decide(held(pool("ab"), "ab", 4), [*jobs("ac"), *jobs("bd"), *jobs("bc"), *jobs("ad")], 500.0).refuse == ()


def test_a_newcomer_the_line_has_no_place_for_starts_if_it_takes_nothing_from_it() -> None:
    state = held(pool("abc", capacity=3), "ab", 4)
    full = replace(RULES, queue_bound=1)
    waiting = [*jobs("ab"), *jobs("c", admitted=False)]
    assert decide(state, waiting, 0.0, full).grant == ("c0",)
    assert decide(state, waiting, 0.0, full).refuse == ()
    assert decide(held(state, "c", 4), waiting, 0.0, full).grant == (), "no seat"
    assert decide(state, [*waiting[:1], *jobs("bc", admitted=False)], 0.0, full).grant == (), "others wait for b"
    leaving = replace(changed(state, "c", state=DRAINING), moving="c")
    assert decide(leaving, waiting, 0.0, full).refuse[0].job == "c0", "it is falling asleep"


# ── (2) whose turn ───────────────────────────────────────────────────────────────────────────────────────────────


def test_residents_keep_serving_until_the_others_have_waited_the_cost_of_a_switch() -> None:
    state = held(pool("ab", engines={m: {"costs": SLOW} for m in "cd"}), "ab", 1)
    waiting = [*jobs("cd"), *jobs("ab", since=9.0)]
    assert decide(state, waiting, 10.0).grant == ("ab0",)
    late = decide(state, [*jobs("cd"), *jobs("ab", since=45.0)], 47.0)
    assert late.grant == ()
    assert late.draining == {"a", "b"}
    assert late.switching == CD


def test_many_waiting_a_little_are_worth_a_switch_as_one_waiting_long() -> None:
    state = held(pool("ab", landed=-99.0), "ab", 1)
    assert decide(state, jobs("cd"), 4.0).draining == set()
    assert decide(state, jobs("cd", 9), 4.0).draining == {"a", "b"}


def test_engines_with_more_to_do_than_they_can_seat_stay_for_a_while() -> None:
    state = held(pool("ab", landed=0.0), "ab", 4)
    waiting = [*jobs("cd", 9), *jobs("ab", 4, since=1.0)]
    assert decide(state, waiting, 20.0).draining == set()
    assert decide(state, waiting[:9], 27.0).draining == {"a", "b"}


def test_idle_engines_somebody_is_about_to_use_are_not_taken() -> None:
    state = pool("ab", engines={m: {"costs": SLOW} for m in "cd"})
    decided = decide(state, [*jobs("cd"), *jobs("ab", since=1.0)], 2.0)
    assert (decided.grant, decided.move) == (("ab0",), None)


def test_when_the_line_has_no_time_left_its_head_is_served_whatever_pays() -> None:
    state = held(pool("ab"), "ab", 1)
    costly = changed(state, "cd", costs=replace(COSTS, load_s=1e4))
    waiting = jobs("cd")
    at = slack(costly, waiting)
    assert decide(costly, waiting, at - 3).switching is None
    assert decide(costly, waiting, at - 1).switching == CD


def test_nobody_is_overtaken_by_a_pair_more_in_demand_past_the_time_there_is() -> None:
    state = held(pool("ab"), "ab", 1)
    old, crowd = jobs("ac"), jobs("bd", 8, since=20.0)
    assert decide(state, [*old, *crowd], 30.0).switching == frozenset("bd"), "there is time for both"
    assert decide(state, [*old, *crowd], 45.0).switching == AC, "not if the crowd went first"


def test_a_switch_that_has_begun_is_finished_before_another_is_considered() -> None:
    state = held(pool("ab", switching=AC), "b", 1)
    waiting = [*jobs("ac", since=30.0), *jobs("bd", 8)]
    assert decide(state, waiting, 30.0).switching == AC


def test_a_switch_nobody_waits_for_any_more_is_dropped() -> None:
    state = changed(held(pool("ab", switching=CD), "ab", 1), "ab", state=DRAINING)
    assert (decide(state, [], 5.0).switching, decide(state, [], 5.0).draining) == (None, set())


def test_a_pinned_engine_that_is_out_of_memory_comes_before_everybody() -> None:
    state = pool("abc", capacity=3, engines={"d": {"pinned": True}})
    state = changed(state, "a", last_used=-5.0)
    assert decide(state, jobs("bc"), 30.0).move == Unload("a", "room for d")
    backing_off = changed(state, "d", state=FAILED, failed_until=99.0)
    assert decide(backing_off, jobs("bc"), 30.0).move is None


# ── (3) draining ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_battles_in_the_way_have_the_drain_limit_and_no_more() -> None:
    draining = changed(held(pool("ab", switching=CD), "ab", 1), "ab", state=DRAINING, since=10.0)
    assert decide(draining, jobs("cd"), 39.0).preempt == set()
    assert decide(draining, jobs("cd"), 40.0).preempt == {"a", "b"}


def test_battles_in_the_way_of_a_promise_have_what_the_line_has_left() -> None:
    draining = changed(held(pool("ab", switching=CD), "ab", 1), "ab", state=DRAINING, since=60.0)
    at = slack(draining, jobs("cd"), 60.0)
    assert at > 10, "the reckoned drain of ten seconds is over by then"
    assert decide(draining, jobs("cd"), 60.0 + at + 5).preempt == set()
    assert decide(draining, jobs("cd"), 60.0 + at + 10).preempt == {"a", "b"}


def test_where_a_promise_depends_on_seats_they_are_kept_and_the_longest_battles_end() -> None:
    full = held(held(pool("ab"), "ab", 1, since=-50.0), "ab", 3, since=-1.0)
    at = slack(full, jobs("ab", 2)) - 1.5
    assert decide(full, [*jobs("ab", 2), *jobs("ac")], at).draining == {"a", "b"}
    kept = replace(changed(full, "ab", state=DRAINING, since=at), switching=AB)
    assert decide(kept, jobs("ab", 2), at + 5).ends == ()
    ends = decide(kept, jobs("ab", 2), at + 20).ends
    assert len(ends) == 2
    assert full.leases[0].job in ends


def test_what_a_promise_keeps_stays_kept_while_the_turn_goes_well() -> None:
    full = held(pool("ab"), "ab", 4)
    waiting = jobs("ab", 8)
    at = slack(full, waiting)
    kept = replace(changed(full, "ab", state=DRAINING, since=at), switching=AB)
    assert slack(kept, waiting, at + 4) > slack(full, waiting, at + 4)
    assert decide(kept, waiting, at + 4).draining == {"a", "b"}


def test_a_group_whose_first_jobs_start_is_still_pressed_for_the_rest_of_them() -> None:
    landed = replace(changed(pool("ab"), "ab", state=DRAINING), switching=AB)
    waiting = [*jobs("ab", 30), *jobs("cd")]
    at = slack(landed, waiting)
    first = decide(landed, waiting, at)
    assert len(first.grant) == 4
    assert first.switching == AB, "dropped now it would have to be begun anew, and there is no time for that"


def test_an_engine_over_capacity_drains_and_goes() -> None:
    crowded = held(pool("abc", capacity=2), "ab", 1)
    crowded = held(crowded, "c", 2)
    first = decide(crowded, [], 5.0)
    assert len(first.draining) == 1
    (leaving,) = first.draining
    idle = replace(changed(crowded, leaving, leases=0, state=DRAINING), leases=())
    assert decide(idle, [], 6.0).move == Unload(leaving, "memory")
    assert decide(changed(idle, leaving, state=STOPPING), [], 6.0).draining == set()


def test_jobs_for_an_engine_over_capacity_are_served_all_the_same() -> None:
    crowded = changed(pool("abc", capacity=1), "b", state=DRAINING)
    waiting = [*jobs("a"), *jobs("b"), *jobs("c")]
    served = {job for at in (1.0, 80.0, 200.0) for job in decide(crowded, waiting, at).grant}
    assert served == {"a0", "b0", "c0"}


# ── (4) who starts ───────────────────────────────────────────────────────────────────────────────────────────────


def test_jobs_whose_models_are_ready_start_at_once_in_order() -> None:
    decided = decide(pool("ab"), jobs("ab", 2), 1.0)
    assert decided.grant == ("ab0", "ab1")
    assert decided.move is None


def test_an_engine_seats_only_so_many() -> None:
    assert decide(held(pool("ab"), "ab", 3), jobs("ab", 2), 1.0).grant == ("ab0",)


def test_sessions_take_turns() -> None:
    many = [Waiter(f"m{n}", AB, float(n), session="many") for n in range(4)]
    one = Waiter("one", AB, 9.0, session="one")
    assert decide(held(pool("ab"), "ab", 2), [*many, one], 10.0).grant == ("m0", "one")
    busy = replace(held(pool("ab"), "ab", 2), serving={"many": 2})
    assert decide(busy, [*many, one], 10.0).grant == ("one", "m0")


def test_a_switch_is_never_undone_before_its_jobs_have_started() -> None:
    state = pool("ab", switching=AB)
    waiting = [*jobs("cd"), *jobs("ab", 2, since=50.0)]
    assert decide(state, waiting, 1000.0).grant == ("ab0", "ab1")


def test_an_engine_that_is_falling_asleep_or_dead_starts_nobody() -> None:
    asleep = replace(changed(pool("ab"), "a", state=DRAINING), moving="a")
    assert decide(asleep, jobs("ab"), 1.0).grant == ()
    assert "a" in decide(asleep, [], 1.0).draining
    assert decide(changed(pool("ab"), "a", alive=False), jobs("ab"), 1.0).grant == ()


def test_an_engine_whose_catalog_entry_changed_takes_no_more_and_leaves_when_idle() -> None:
    changing = changed(pool("ab"), "a", retiring=True)
    assert decide(held(changing, "a", 1), jobs("ab"), 1.0).grant == ()
    assert decide(held(changing, "a", 1), jobs("ab"), 1.0).move is None
    assert decide(changing, jobs("ab"), 1.0).move == Unload("a", "its catalog entry changed")


# ── (5) the move ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_missing_model_is_loaded_while_there_is_room() -> None:
    assert decide(pool("a"), jobs("ab"), 1.0).move == Load("b")


def test_the_least_recently_used_idle_engine_makes_room() -> None:
    state = changed(changed(pool("ab"), "a", last_used=5.0), "b", last_used=3.0)
    assert decide(state, jobs("cd"), 6.0).move == Unload("b", "room for c")


def test_an_engine_the_pair_needs_is_never_the_victim() -> None:
    state = changed(changed(pool("ab"), "a", last_used=1.0), "b", last_used=9.0)
    assert decide(state, jobs("ac"), 10.0).move == Unload("b", "room for c")


def test_an_engine_with_leases_is_never_unloaded() -> None:
    decided = decide(held(pool("ab"), "ab", 1), jobs("cd"), 1000.0)
    assert decided.move is None
    assert decided.draining == {"a", "b"}


def test_a_pinned_engine_is_never_the_victim() -> None:
    state = changed(changed(pool("ab"), "a", pinned=True), "b", last_used=9.0)
    assert decide(state, jobs("ac"), 10.0).move == Unload("b", "room for c")


def test_a_dead_engine_goes_first() -> None:
    decided = decide(changed(pool("ab"), "a", alive=False), jobs("ab"), 1.0)
    assert (decided.grant, decided.move) == ((), Unload("a", "died"))


def test_only_one_engine_moves_at_a_time() -> None:
    assert decide(pool(engines={"a": {"state": LOADING}}, moving="a"), jobs("ab"), 1.0).move is None


def test_an_engine_asleep_is_woken() -> None:
    state = pool("a", engines={"b": {"state": SLEEPING, "tier": "l1"}})
    assert decide(state, jobs("ab"), 1.0).move == Wake("b")


def test_an_idle_engine_is_put_away_after_its_time_unless_somebody_waits_for_it() -> None:
    resting = replace(RULES, idle_ttl_s=30.0)
    assert decide(pool("a"), [], 29.0, resting).move is None
    assert decide(pool("a"), [], 30.0, resting).move == Unload("a", "idle")
    waiting = jobs("ab", since=29.0)
    backing_off = pool("a", engines={"b": {"state": FAILED, "failed_until": 34.0}})
    assert decide(backing_off, waiting, 30.0, resting).move is None
    remote = changed(pool("a"), "a", elsewhere=True)
    assert decide(remote, [], 99.0, resting).move is None


def test_what_can_wait_is_not_begun_while_the_line_has_no_time_for_it() -> None:
    sleepy = changed(pool("abc", capacity=3), "abc", footprint=Footprint(Bytes(1, 0), l1=Bytes(0, 1)))
    busy = held(sleepy, "ab", 4)
    resting = replace(RULES, idle_ttl_s=5.0)
    waiting = jobs("ab", 2)
    at = slack(busy, waiting, rules=resting)
    assert decide(busy, waiting, 10.0, resting).move == Sleep("c", "l1", "idle")
    assert decide(busy, waiting, at - 5, resting).move is None


@pytest.mark.parametrize("rules", [RULES, Rules(max_wait_s=5.0, drain_limit_s=5.0)])
def test_cheap_engines_go_before_dear_ones_that_have_rested_a_little_longer(rules: Rules) -> None:
    dear = changed(pool("ab"), "a", costs=Costs(load_s=40.0), last_used=0.0)
    cheap = changed(dear, "b", costs=Costs(load_s=2.0), last_used=5.0)
    assert decide(cheap, jobs("c"), 10.0, rules).move == Unload("b", "room for c")
