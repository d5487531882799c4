"""The decision, case by case: numbers refer to worker/pool/plan.py."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from worker.pool.plan import plan
from worker.pool.states import EngineState, EngineView, Load, PoolState, Unload, Waiter

READY, COLD, FAILED, LOADING = EngineState.READY, EngineState.COLD, EngineState.FAILED, EngineState.LOADING
MAX_WAIT = 60.0


def pool(
    *engines: EngineView,
    capacity: int = 2,
    moving: bool = False,
    switching: frozenset[str] | None = None,
    wanted: tuple[str, ...] = (),
) -> PoolState:
    known = {e.model: e for e in engines}
    for model in "abcd":
        known.setdefault(model, EngineView(model))
    return PoolState(known, capacity, moving, switching, wanted)


def ready(model: str, leases: int = 0, used: float = 0.0, **more: object) -> EngineView:
    return EngineView(model, READY, leases, used, **more)  # type: ignore[arg-type]


def wait(job: str, models: str, since: float = 0.0) -> Waiter:
    return Waiter(job, frozenset(models), since)


def test_jobs_whose_models_are_ready_start_at_once_in_order() -> None:
    decided = plan(pool(ready("a"), ready("b")), [wait("1", "ab"), wait("2", "ab")], 1.0, MAX_WAIT)
    assert decided.grant == ("1", "2")
    assert decided.move is None


def test_a_missing_model_is_loaded_while_there_is_room() -> None:
    assert plan(pool(ready("a")), [wait("1", "ab")], 1.0, MAX_WAIT).move == Load("b")


def test_the_least_recently_used_idle_engine_makes_room() -> None:
    state = pool(ready("a", used=5.0), ready("b", used=3.0))
    assert plan(state, [wait("1", "cd")], 6.0, MAX_WAIT).move == Unload("b", "room for c")


def test_an_engine_the_pair_needs_is_never_the_victim() -> None:
    state = pool(ready("a", used=1.0), ready("b", used=9.0))
    assert plan(state, [wait("1", "ac")], 10.0, MAX_WAIT).move == Unload("b", "room for c")


def test_an_engine_with_leases_is_never_unloaded() -> None:
    state = pool(ready("a", leases=1), ready("b", leases=1))
    decided = plan(state, [wait("1", "cd", since=0.0)], 1000.0, MAX_WAIT)
    assert decided.move is None
    assert decided.draining == {"a", "b"}


def test_residents_keep_serving_until_the_others_have_waited_the_cost_of_a_switch() -> None:
    state = pool(ready("a", leases=1), ready("b", leases=1), EngineView("c", load_s=20), EngineView("d", load_s=20))
    waiting = [wait("1", "cd", since=0.0), wait("2", "ab", since=9.0)]
    assert plan(state, waiting, 10.0, MAX_WAIT).grant == ("2",)
    late = plan(state, waiting, 41.0, MAX_WAIT)
    assert late.grant == ()
    assert late.draining == {"a", "b"}


def test_many_waiting_a_little_are_worth_a_switch_as_one_waiting_long() -> None:
    state = pool(ready("a", leases=1), ready("b", leases=1), EngineView("c", load_s=20), EngineView("d", load_s=20))
    waiting = [wait(str(n), "cd", since=0.0) for n in range(9)]
    assert plan(state, waiting, 5.0, MAX_WAIT).draining == {"a", "b"}


def test_nobody_waits_longer_than_max_wait_behind_newcomers() -> None:
    state = pool(ready("a", leases=1), ready("b", leases=1), EngineView("c", load_s=1e6), EngineView("d", load_s=1e6))
    waiting = [wait("old", "cd", since=0.0), wait("new", "ab", since=MAX_WAIT)]
    assert plan(state, waiting, MAX_WAIT, MAX_WAIT).grant == ()


def test_a_job_whose_model_failed_lately_is_refused() -> None:
    state = pool(ready("a"), EngineView("b", FAILED, failed_until=50.0, why="no"))
    assert plan(state, [wait("1", "ab")], 10.0, MAX_WAIT).refuse == (("1", "b"),)


def test_a_failed_model_is_tried_again_after_its_back_off() -> None:
    state = pool(ready("a"), EngineView("b", FAILED, failed_until=50.0))
    decided = plan(state, [wait("1", "ab")], 51.0, MAX_WAIT)
    assert (decided.refuse, decided.move) == ((), Load("b"))


def test_a_dead_engine_goes_first() -> None:
    state = pool(ready("a", alive=False), ready("b"))
    decided = plan(state, [wait("1", "ab")], 1.0, MAX_WAIT)
    assert (decided.grant, decided.move) == ((), Unload("a", "died"))


def test_only_one_engine_moves_at_a_time() -> None:
    state = pool(EngineView("a", LOADING), moving=True)
    assert plan(state, [wait("1", "ab")], 1.0, MAX_WAIT).move is None


def test_a_pinned_engine_is_never_the_victim() -> None:
    state = pool(ready("a", pinned=True), ready("b", used=9.0))
    assert plan(state, [wait("1", "ac")], 10.0, MAX_WAIT).move == Unload("b", "room for c")


def test_a_switch_is_never_undone_before_its_jobs_have_started() -> None:
    state = pool(ready("a"), ready("b"), switching=frozenset("ab"))
    waiting = [wait("older", "cd", since=0.0), wait("1", "ab", since=50.0), wait("2", "ab", since=50.0)]
    assert plan(state, waiting, 1000.0, MAX_WAIT).grant == ("1", "2")


def test_a_switch_that_has_begun_is_finished_before_another_is_considered() -> None:
    state = pool(ready("a"), ready("b", leases=1), switching=frozenset("ac"))
    waiting = [wait("1", "ac", since=90.0), *(wait(f"{n}", "bd", since=0.0) for n in range(2, 9))]
    assert plan(state, waiting, 100.0, MAX_WAIT).switching == frozenset("ac")


def test_idle_engines_somebody_is_about_to_use_are_not_taken() -> None:
    state = pool(ready("a"), ready("b"), EngineView("c", load_s=1e6), EngineView("d", load_s=1e6))
    decided = plan(state, [wait("1", "cd", since=0.0), wait("2", "ab", since=1.0)], 2.0, MAX_WAIT)
    assert (decided.grant, decided.move) == (("2",), None)


def test_an_operators_wish_waits_for_those_who_wait() -> None:
    state = pool(ready("a"), ready("b", used=2.0), wanted=("d",))
    assert plan(state, [wait("1", "ac")], 3.0, MAX_WAIT).move == Unload("b", "room for c")
    assert plan(state, [], 3.0, MAX_WAIT).move == Unload("a", "room for d")


engines = st.builds(
    EngineView,
    model=st.just(""),
    state=st.sampled_from([COLD, READY, FAILED]),
    leases=st.integers(0, 2),
    last_used=st.floats(0, 50),
    load_s=st.floats(0.1, 60),
    failed_until=st.floats(0, 100),
    alive=st.booleans(),
    pinned=st.booleans(),
)
waiters = st.lists(st.tuples(st.sets(st.sampled_from("abcdef"), min_size=2, max_size=2), st.floats(0, 50)), max_size=8)


@given(
    st.lists(engines, min_size=6, max_size=6),
    waiters,
    st.integers(2, 4),
    st.booleans(),
    st.none() | st.frozensets(st.sampled_from("abcdef"), min_size=2, max_size=2),
    st.floats(50, 200),
)
def test_whatever_the_state_the_invariants_hold(
    views: list[EngineView],
    waits: list[tuple[set[str], float]],
    capacity: int,
    moving: bool,
    switching: frozenset[str] | None,
    now: float,
) -> None:
    named = {
        m: replace(v, model=m, leases=v.leases if v.state is READY else 0) for m, v in zip("abcdef", views, strict=True)
    }
    resident = [m for m, v in named.items() if v.resident]
    for surplus in resident[capacity:]:
        named[surplus] = EngineView(surplus)
    state = PoolState(named, capacity, moving, switching, ("e",))
    waiting = [Waiter(str(i), frozenset(models), since) for i, (models, since) in enumerate(waits)]
    decided = plan(state, waiting, now, MAX_WAIT)

    usable = {m for m, v in named.items() if v.state is READY and v.alive}
    by_job = {w.job: w.models for w in waiting}
    assert all(by_job[job] <= usable for job in decided.grant)
    assert all(by_job[job] == switching or not by_job[job] & decided.draining for job in decided.grant)
    assert not set(decided.grant) & {job for job, _ in decided.refuse}
    if moving:
        assert decided.move is None
    if isinstance(decided.move, Unload):
        victim = named[decided.move.model]
        assert victim.state is READY
        assert not victim.alive or (victim.leases == 0 and not victim.pinned)
        assert all(decided.move.model not in by_job[job] for job in decided.grant) or not victim.alive
    if isinstance(decided.move, Load):
        assert not named[decided.move.model].resident
        assert sum(v.resident for v in named.values()) < capacity
