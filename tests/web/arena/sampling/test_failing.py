from __future__ import annotations

import pytest

from web.arena.sampling.failing import Failures, fit, resting


@pytest.mark.parametrize(
    ("count", "ago", "out"), [(2, 0, False), (3, 0, True), (3, 59, True), (3, 61, False), (9, 61, False)]
)
def test_a_model_that_failed_often_lately_rests_for_a_while(count: int, ago: float, out: bool) -> None:
    found = resting({"m": Failures(count, 1000 - ago), "other": Failures(1, 1000)}, 1000, after=3, rest_s=60)
    assert found == ({"m"} if out else set())


def test_models_that_rest_take_no_part() -> None:
    assert fit(["a", "b", "c"], {"b"}) == ["a", "c"]


def test_a_guess_does_not_close_the_arena() -> None:
    assert fit(["a", "b", "c"], {"a", "b"}) == ["a", "b", "c"]
