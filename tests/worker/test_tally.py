"""What operators watch of the last minute."""

from __future__ import annotations

from dataclasses import dataclass

from worker.tally import WINDOW_S, Tally


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_last_minute_is_counted_and_then_forgotten() -> None:
    clock = Clock()
    tally = Tally(["ant", "bee"], clock)
    tally.answered("ant", 30, 1.0, "stop")
    clock.now += 40
    tally.answered("ant", 30, 2.0, "length")
    assert tally.facts() == {"ant": {"answers": 2, "tokens": 60, "tokens_per_s": 20.0, "failures": {}}}
    clock.now += WINDOW_S - 30
    assert tally.facts()["ant"] == {"answers": 1, "tokens": 30, "tokens_per_s": 15.0, "failures": {}}
    clock.now += WINDOW_S
    assert tally.facts() == {}


def test_failures_stay_by_what_failed() -> None:
    clock = Clock()
    tally = Tally(["ant"], clock)
    tally.failed("ant", "load")
    tally.failed("ant", "load")
    tally.answered("ant", 3, 0.0, "failed")
    clock.now += 10 * WINDOW_S
    assert tally.facts() == {
        "ant": {"answers": 0, "tokens": 0, "tokens_per_s": None, "failures": {"load": 2, "answer": 1}}
    }


def test_prometheus_is_told_all_the_same() -> None:
    tally = Tally(["ant"])
    tally.answered("ant", 7, 1.0, "stop")
    tally.failed("ant", "died")
    assert tally.registry.get_sample_value("arena_tokens_total", {"model": "ant"}) == 7
    assert tally.registry.get_sample_value("arena_engine_failures_total", {"model": "ant", "what": "died"}) == 1
