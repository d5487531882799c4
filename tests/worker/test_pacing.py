"""Nothing about speed or loading may show before the vote, and nothing may be lost to hide it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.contract.events import SIDES, Side
from worker.pacing import Pacer

TICK = 0.04


def pacer(cap_s: float = 5.0, tail_s: float = 2.0, enabled: bool = True) -> Pacer:
    return Pacer(tick_s=TICK, cap_s=cap_s, tail_s=tail_s, enabled=enabled)


def test_the_first_side_is_held_until_the_other_has_text() -> None:
    p = pacer()
    p.push("a", "hello", 0.0)
    assert p.take(1.0) == {}
    p.push("b", "hi", 1.1)
    assert p.take(1.2) == {"a": "he", "b": "hi"}


def test_the_wait_for_the_other_side_is_capped() -> None:
    p = pacer(cap_s=5.0)
    p.push("a", "hello", 0.0)
    assert p.take(4.9) == {}
    assert p.take(5.1) == {"a": "hello"}


def test_a_side_that_failed_holds_nobody_back() -> None:
    p = pacer()
    p.push("a", "hello", 0.0)
    p.end("a")
    p.end("b")
    assert p.drained("b")
    assert p.take(0.1)["a"] != ""


def test_both_sides_show_the_same_amount_however_fast_they_are() -> None:
    p = pacer()
    shown: dict[Side, int] = {"a": 0, "b": 0}
    for tick in range(100):
        p.push("a", "fast words ", tick * TICK)
        if tick % 5 == 0:
            p.push("b", "slow ", tick * TICK)
        for side, text in p.take(tick * TICK).items():
            shown[side] += len(text)
        assert shown["a"] == shown["b"]
    assert shown["a"] == 100


def test_the_rest_of_a_finished_answer_takes_no_longer_than_the_tail() -> None:
    p = pacer(tail_s=2.0)
    p.push("a", "x" * 10_000, 0.0)
    p.push("b", "y", 0.0)
    p.end("a")
    p.end("b")
    ticks = 0
    while not (p.drained("a") and p.drained("b")):
        p.take(ticks * TICK)
        ticks += 1
    assert ticks * TICK <= 2.0 + 3 * TICK


def test_a_side_that_falls_silent_stops_holding_the_other() -> None:
    p = pacer(cap_s=1.0)
    p.push("a", "aa", 0.0)
    p.push("b", "bbbb", 0.0)
    p.take(0.0)
    assert p.take(0.5) == {}
    assert p.take(1.1) == {"b": "bb"}


def test_with_pacing_off_text_passes_as_it_comes() -> None:
    p = pacer(enabled=False)
    p.push("a", "hello", 0.0)
    assert p.take(0.0) == {"a": "hello"}


@pytest.mark.parametrize("enabled", [True, False])
def test_sides_answered_in_turn_are_shown_together_however_long_that_takes(enabled: bool) -> None:
    p = pacer(cap_s=1.0, enabled=enabled)
    p.one_by_one()
    p.push("a", "hello", 0.0)
    p.end("a")
    assert p.take(600.0) == {}
    assert p.resting
    p.push("b", "hi", 601.0)
    assert not p.resting
    shown = p.take(601.0)
    assert shown["a"].startswith("he")
    assert shown["b"] == "hi"


def test_a_side_that_begins_anew_has_said_nothing() -> None:
    p = pacer(cap_s=1.0)
    p.push("a", "lost", 0.0)
    p.forget("a")
    assert p.resting
    assert p.take(600.0) == {}
    p.push("a", "new", 600.0)
    p.push("b", "other", 600.0)
    assert p.take(600.0) == {"a": "new", "b": "oth"}


def test_what_stands_is_held_while_the_other_side_begins_anew() -> None:
    p = pacer(cap_s=1.0)
    p.push("a", "stands", 0.0)
    p.push("b", "lost", 0.0)
    p.forget("b")
    assert p.take(600.0) == {}
    p.end("b")
    assert p.take(600.0) != {}


@given(
    st.lists(st.tuples(st.sampled_from(SIDES), st.text(max_size=9), st.floats(0, 3)), max_size=60),
    st.booleans(),
    st.floats(0, 3),
)
def test_every_character_is_shown_once_and_in_order(
    steps: list[tuple[Side, str, float]], enabled: bool, tail_s: float
) -> None:
    p = pacer(cap_s=1.0, tail_s=tail_s, enabled=enabled)
    said: dict[Side, str] = {"a": "", "b": ""}
    shown: dict[Side, str] = {"a": "", "b": ""}
    now = 0.0

    def take() -> None:
        for side, text in p.take(now).items():
            assert text
            shown[side] += text

    for side, text, wait in steps:
        p.push(side, text, now)
        said[side] += text
        now += wait
        take()
    for side in SIDES:
        p.end(side)
    for _ in range(2000):
        if p.drained("a") and p.drained("b"):
            break
        now += TICK
        take()
    assert shown == said
