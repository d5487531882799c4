"""The counters themselves, on a real Redis."""

from __future__ import annotations

import math

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from web.errors import StorageUnavailable
from web.limits.windows import Wanted, Window, Windows, connect


def storage(url: str, *, closed: bool = False) -> Windows:
    return Windows("arena-limits://", connection_pool=connect(url), closed=int(closed))


def take(windows: Windows, most: int, seconds: int, key: str = "k") -> bool:
    (found,) = windows.take([Wanted(key, most, seconds)]).values()
    return found[0]


def weight(window: Window, later_s: float) -> int:
    """What the sliding window counts ``later_s`` from now, when nobody asks meanwhile."""
    if later_s < window.left_s:
        left = max(0.0, window.previous_left_s - later_s)
        return window.current + math.floor(window.previous * left / window.seconds)
    left = max(0.0, window.seconds - (later_s - window.left_s))
    return math.floor(window.current * left / window.seconds)


@settings(deadline=None)
@given(
    st.integers(1, 500),
    st.sampled_from([60, 86_400]),
    st.integers(0, 500),
    st.integers(0, 500),
    st.floats(0.0, 1.0),
)
def test_after_the_wait_that_is_told_one_more_is_let_through_and_not_much_earlier(
    most: int, seconds: int, previous: int, current: int, share: float
) -> None:
    left = seconds * share
    window = Window(most, seconds, min(previous, most), left, min(current, most), left)
    wait = window.wait_s()
    assert weight(window, wait + 0.001) + 1 <= most
    if window.remaining:
        assert wait == 0
    else:
        assert weight(window, wait * 0.999 - 0.001) + 1 > most or wait < 0.01


def test_no_more_than_the_limit_are_let_through_however_many_ask(redis_url: str, redis_client: redis.Redis) -> None:
    windows = storage(redis_url)
    assert [take(windows, 5, 60) for _ in range(8)] == [True] * 5 + [False] * 3
    assert take(windows, 5, 60, "another")


def test_a_request_that_one_limit_refuses_uses_up_none_of_the_others(redis_url: str, redis_client: redis.Redis) -> None:
    windows = storage(redis_url)
    both = [Wanted("narrow", 1, 60), Wanted("wide", 10, 60)]
    assert [fits for fits, _ in windows.take(both).values()] == [True, True]
    for _ in range(3):
        found = windows.take(both)
        assert [fits for fits, _ in found.values()] == [False, True]
        assert found["wide"][1].remaining == 9


def test_a_window_that_has_passed_still_weighs(redis_url: str, redis_client: redis.Redis) -> None:
    windows = storage(redis_url)
    for _ in range(10):
        take(windows, 10, 60)
    (current,) = redis_client.keys("*{k}")
    redis_client.pexpire(current, 59_990)  # as if a minute had passed: its window ends now
    assert [take(windows, 10, 60) for _ in range(3)] == [True, False, False], "nine and a bit of them still count"
    (previous,) = redis_client.keys("*{k}/-1")
    redis_client.pexpire(previous, 33_000)  # when half a minute has passed half of them do
    assert [take(windows, 10, 60) for _ in range(6)] == [True] * 4 + [False] * 2


def test_counters_go_away_by_themselves(redis_url: str, redis_client: redis.Redis) -> None:
    take(storage(redis_url), 5, 60)
    assert all(0 < redis_client.ttl(key) <= 120 for key in redis_client.scan_iter())


def test_without_redis_everything_or_nothing_is_let_through(tmp_path_factory: pytest.TempPathFactory) -> None:
    nobody = f"unix://{tmp_path_factory.mktemp('none')}/r.sock"
    assert storage(nobody).take([Wanted("k", 1, 60)]) == {}
    with pytest.raises(StorageUnavailable):
        take(storage(nobody, closed=True), 1, 60)
