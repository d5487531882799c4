"""What operators asked for: done when it takes nothing from those who wait, given up when it cannot be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.worker.pool.facts import RULES, changed, decide, held, jobs, pool
from worker.memory import Bytes, Footprint
from worker.pool.states import EngineState, Load, PoolState, Sleep, Unload, Wake, Wish

SLEEPING, READY, DRAINING, FAILED = (
    EngineState.SLEEPING,
    EngineState.READY,
    EngineState.DRAINING,
    EngineState.FAILED,
)
SLEEPY = Footprint(Bytes(8, 0), l1=Bytes(0, 8))


def wishing(state: PoolState, *wishes: tuple[str, str]) -> PoolState:
    made = tuple(Wish(f"w{n}", kind, model) for n, (kind, model) in enumerate(wishes))  # type: ignore[arg-type]
    return replace(state, wishes=made)


def test_an_operators_wish_waits_for_those_who_wait() -> None:
    state = wishing(changed(pool("ab"), "b", last_used=2.0), ("load", "d"))
    assert decide(state, jobs("ac"), 3.0).move == Unload("b", "room for c")
    assert decide(state, [], 3.0).move == Unload("a", "room for d")
    assert decide(held(state, "ab", 1), [], 3.0).move is None


def test_a_wish_is_loaded_where_there_is_room_and_woken_where_it_sleeps() -> None:
    assert decide(wishing(pool("a"), ("load", "d")), [], 3.0).move == Load("d")
    asleep = changed(pool("a"), "d", state=SLEEPING, tier="l1")
    assert decide(wishing(asleep, ("wake", "d")), [], 3.0).move == Wake("d")


def test_a_wish_takes_no_engine_somebody_waits_for() -> None:
    backing_off = changed(pool("ab"), "c", state=FAILED, failed_until=5.0)
    state = held(wishing(backing_off, ("load", "d")), "b", 1)
    assert decide(state, jobs("ac", since=3.0), 3.0).move is None
    assert decide(state, [], 3.0).move == Unload("a", "room for d")


def test_an_engine_that_is_to_go_takes_no_new_leases_and_goes_when_idle() -> None:
    state = held(wishing(pool("ab"), ("unload", "a")), "ab", 1)
    first = decide(state, jobs("ab"), 3.0)
    assert (first.grant, first.draining, first.move) == ((), {"a"}, None)
    assert decide(wishing(pool("ab"), ("unload", "a")), jobs("ab"), 3.0).move == Unload("a", "operator")


def test_nothing_leaves_in_the_moment_somebody_starts_on_it() -> None:
    state = replace(wishing(pool("ab"), ("unload", "a")), switching=frozenset("ab"))
    decided = decide(state, jobs("ab"), 3.0)
    assert decided.grant == ("ab0",)
    assert decided.move is None


def test_whoever_waits_for_an_engine_that_is_to_go_is_served_before_it_is_too_late() -> None:
    state = held(wishing(changed(pool("ab"), "a", state=DRAINING), ("unload", "a")), "ab", 1)
    assert decide(state, jobs("ab"), 3.0).grant == ()
    assert decide(state, jobs("ab"), 110.0).grant == ("ab0",)


def test_what_a_turn_needs_is_not_taken_away_for_a_wish() -> None:
    state = wishing(changed(pool("abd", capacity=3), "bd", leases=1), ("unload", "a"))
    waiting = jobs("ac", 9)
    decided = decide(state, waiting, 30.0)
    assert decided.switching == frozenset("ac")
    assert decided.move is None


def test_an_engine_is_put_to_sleep_as_deep_as_asked_when_the_host_has_room() -> None:
    state = wishing(changed(pool("ab"), "a", footprint=SLEEPY, reserved=SLEEPY.resident), ("sleep", "a"))
    assert decide(state, [], 3.0, ledgers=Bytes(16, 8)).move == Sleep("a", "l1", "operator")
    crowded = changed(state, "d", state=SLEEPING, reserved=Bytes(0, 8))
    assert decide(crowded, [], 3.0, ledgers=Bytes(16, 15)).move is None
    assert decide(crowded, [], 3.0, ledgers=Bytes(16, 15)).done == ()
    assert decide(crowded, jobs("ab"), 3.0, ledgers=Bytes(16, 15)).grant == ("ab0",), "until then it serves"


@pytest.mark.parametrize(
    ("kind", "model", "holds"),
    [
        ("load", "a", True),
        ("wake", "a", True),
        ("load", "c", False),
        ("load", "d", False),
        ("unload", "c", True),
        ("unload", "d", False),
        ("sleep", "d", True),
        ("sleep", "c", True),
        ("unload", "a", False),
    ],
)
def test_a_wish_that_holds_is_done(kind: str, model: str, holds: bool) -> None:
    state = changed(pool("a"), "d", state=SLEEPING, tier="l1")
    assert decide(wishing(state, (kind, model)), [], 3.0).done == (("w0",) if holds else ())


def test_a_wish_that_can_never_be_granted_is_given_up() -> None:
    large = changed(pool("a"), "c", footprint=Footprint(Bytes(20, 0)))
    assert decide(wishing(large, ("load", "c")), [], 3.0, ledgers=Bytes(10, 0)).done == ("w0",)
    pinned = changed(pool("ab"), "ab", pinned=True)
    assert decide(wishing(pinned, ("load", "c")), [], 3.0).done == ("w0",)
    assert decide(wishing(pinned, ("unload", "a")), [], 3.0).done == ("w0",)
    assert decide(wishing(pool("a"), ("sleep", "a")), [], 3.0).done == ("w0",), "it is not one to sleep"


def test_wishes_are_taken_in_order_but_one_that_must_wait_holds_up_no_other() -> None:
    state = held(wishing(pool("ab"), ("unload", "a"), ("unload", "b")), "a", 1)
    assert decide(state, [], 3.0).move == Unload("b", "operator")
    backing_off = changed(pool("a"), "c", state=FAILED, failed_until=9.0)
    assert decide(wishing(backing_off, ("load", "c"), ("load", "d")), [], 3.0).move == Load("d")


def test_a_wish_that_would_take_time_somebody_was_promised_waits() -> None:
    state = held(wishing(pool("abd", capacity=4), ("unload", "d")), "ab", 4)
    late = RULES.max_wait_s + RULES.drain_limit_s
    assert decide(state, jobs("ab"), 3.0).move == Unload("d", "operator")
    assert decide(state, jobs("ab"), late).move is None
