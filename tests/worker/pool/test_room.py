"""Who makes room for whom, and how deep they sleep: both ledgers, and the places of capacity."""

from __future__ import annotations

from tests.worker.pool.facts import changed, held, pool
from worker.memory import NO_LIMIT, NOTHING, Bytes, Footprint
from worker.pool import room
from worker.pool.states import EngineState, EngineView, PoolState, Sleep, Unload

SLEEPING, READY, DRAINING, STOPPING = (
    EngineState.SLEEPING,
    EngineState.READY,
    EngineState.DRAINING,
    EngineState.STOPPING,
)
GPU = Footprint(Bytes(8, 1), l1=Bytes(1, 9), l2=Bytes(1, 1))
"""Eight on the device; asleep one stays there, and at l1 the rest is on the host."""


def sized(up: str, footprint: Footprint = GPU, *, asleep: str = "", **more: object) -> PoolState:
    """Those in ``up`` hold their footprint; those in ``asleep`` sleep at l1."""
    state = changed(pool(up, **more), "abcd", footprint=footprint)  # type: ignore[arg-type]
    state = changed(state, up, reserved=footprint.resident)
    return changed(state, asleep, state=SLEEPING, tier="l1", reserved=footprint.l1) if asleep else state


def victims(state: PoolState, ledgers: Bytes, models: str) -> str | None:
    found = room.leave_for(state, ledgers, models, 10.0)
    return None if found is None else "".join(sorted(e.model for e in found))


def away(state: PoolState, ledgers: Bytes, victim: str, need: Bytes = NOTHING, going: str = "") -> object:
    going_ = [state.engines[m] for m in going]
    return room.put_away(state, ledgers, state.engines[victim], need, "why", going_)


def test_places_and_bytes_say_what_fits_together() -> None:
    state = sized("")
    assert room.together(state, Bytes(16, 2), "ab")
    assert not room.together(state, Bytes(15, 2), "ab")
    assert not room.together(state, Bytes(16, 1), "ab")
    assert not room.together(state, NO_LIMIT, "abc")
    assert not room.together(changed(state, "d", pinned=True), NO_LIMIT, "ab")
    assert room.together(changed(state, "c", elsewhere=True), NO_LIMIT, {"a", "b", "c"})


def test_as_few_go_as_are_needed() -> None:
    assert victims(sized("ab"), NO_LIMIT, "ac") == "b"
    assert victims(sized("ab"), NO_LIMIT, "cd") == "ab"
    assert victims(sized("abc", capacity=4), Bytes(32, 9), "d") == ""
    assert victims(sized("abc", capacity=4), Bytes(31, 9), "d") == "a"


def test_small_engines_stay_when_a_large_one_has_to_go_anyway() -> None:
    state = sized("abc", Footprint(Bytes(4, 0)), capacity=4)
    large = Footprint(Bytes(16, 0))
    state = changed(state, "c", footprint=large, reserved=large.resident, last_used=5.0)
    assert victims(changed(state, "d", footprint=Footprint(Bytes(20, 0))), Bytes(36, 0), "d") == "ab"
    assert victims(changed(state, "d", footprint=Footprint(Bytes(21, 0))), Bytes(36, 0), "d") == "c"


def test_pinned_engines_stay_and_nothing_helps_when_only_they_are_in_the_way() -> None:
    pinned = changed(sized("ab"), "b", pinned=True)
    assert victims(pinned, NO_LIMIT, "c") == "a"
    assert victims(changed(pinned, "a", pinned=True), NO_LIMIT, "c") is None


def test_idle_engines_go_before_busy_ones_and_of_those_the_one_that_drains_already() -> None:
    busy = held(held(sized("ab"), "a", 1), "b", 1)
    assert victims(busy, NO_LIMIT, "c") == "a"
    assert victims(changed(busy, "b", state=DRAINING), NO_LIMIT, "c") == "b"
    assert victims(changed(busy, "a", leases=0), NO_LIMIT, "c") == "a"


def test_engines_asleep_go_before_engines_awake() -> None:
    state = sized("a", asleep="b")
    assert victims(state, Bytes(17, 11), "c") == ""
    assert victims(state, Bytes(16, 11), "c") == "b"
    assert victims(state, Bytes(17, 10), "c") == "b"


def test_a_wanted_engine_there_is_no_room_to_wake_is_loaded_anew() -> None:
    state = sized("a", asleep="b")
    assert victims(state, Bytes(16, 10), "ab") == ""
    assert victims(state, Bytes(16, 9), "ab") == "b"
    assert victims(state, Bytes(16, 1), "ab") is None


def test_a_victim_sleeps_as_lightly_as_leaves_room() -> None:
    state = sized("ab")
    assert away(state, Bytes(17, 20), "a", GPU.resident) == Sleep("a", "l1", "why")
    assert away(state, Bytes(17, 9), "a", GPU.resident) == Sleep("a", "l2", "why")
    assert away(state, Bytes(16, 20), "a", GPU.resident) == Unload("a", "why")
    assert away(sized("ab", Footprint(Bytes(8, 1))), NO_LIMIT, "a") == Unload("a", "why")


def test_what_goes_with_a_victim_is_not_reckoned_to_stay() -> None:
    need = GPU.resident + GPU.resident
    assert away(sized("ab"), Bytes(18, 20), "a", need) == Unload("a", "why")
    assert away(sized("ab"), Bytes(18, 20), "a", need, going="ab") == Sleep("a", "l1", "why")


def test_who_has_slept_longest_goes_for_good_so_that_another_can_sleep() -> None:
    state = changed(sized("a", asleep="cd"), "a", last_used=9.0)
    state = changed(state, "d", last_used=5.0)
    assert away(changed(state, "bcd", last_used=1.0), Bytes(64, 30), "a") == Sleep("a", "l1", "why")
    only_l1 = changed(state, "abcd", footprint=Footprint(GPU.resident, l1=GPU.l1))
    assert away(only_l1, Bytes(64, 26), "a") == Unload("c", "room for a to sleep")
    assert away(changed(only_l1, "cd", last_used=10.0), Bytes(64, 26), "a") == Unload("a", "why")


def test_an_engine_asleep_can_only_go_for_good() -> None:
    assert away(sized("", asleep="a"), NO_LIMIT, "a") == Unload("a", "why")


def test_room_is_reserved_for_both_ends_of_a_wake() -> None:
    state = sized("", asleep="a")
    assert room.room_now(state, Bytes(8, 9), state.engines["a"])
    assert not room.room_now(state, Bytes(8, 8), state.engines["a"])
    assert not room.room_now(sized("bc", asleep="a"), NO_LIMIT, state.engines["a"])
    assert room.room_now(sized("bc"), NO_LIMIT, EngineView("far", elsewhere=True))


def test_surplus_is_the_engine_least_worth_keeping_and_none_while_one_is_leaving() -> None:
    state = changed(sized("abc"), "b", last_used=-5.0)
    found = room.surplus(state, NO_LIMIT, (), 10.0)
    assert found is not None
    assert found.model == "b"
    wanted = room.surplus(state, NO_LIMIT, "ab", 10.0)
    assert wanted is not None
    assert wanted.model == "c"
    assert room.surplus(changed(state, "b", state=STOPPING), NO_LIMIT, (), 10.0) is None
    assert room.surplus(sized("ab"), NO_LIMIT, (), 10.0) is None
    assert room.surplus(changed(sized("abc"), "abc", pinned=True), NO_LIMIT, (), 10.0) is None


def test_when_bytes_run_short_who_sleeps_goes_first() -> None:
    found = room.surplus(sized("ab", asleep="c"), Bytes(16, 20), (), 10.0)
    assert found is not None
    assert found.model == "c"
