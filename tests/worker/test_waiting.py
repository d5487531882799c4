"""What a waiting person is told, and how often."""

from __future__ import annotations

from typing import Any

import pytest

from worker.contract import events as ev
from worker.pool.progress import Loading, Queued
from worker.waiting import is_news, standing


class Line:
    """As much of a pool as is asked for."""

    def __init__(self, **jobs: Queued | Loading) -> None:
        self.progress = jobs.get


def stand(**jobs: Queued | Loading) -> Any:
    pool: Any = Line(**jobs)
    return standing(pool, ("pair", "a", "b"))


def test_a_battle_that_waits_for_nothing_stands_nowhere() -> None:
    assert stand() is None


def test_a_place_in_line_is_told_with_its_eta() -> None:
    assert stand(pair=Queued(3, 12.0)) == ev.BattleQueued(3, 12.0)


def test_of_two_sides_that_wait_apart_the_later_counts() -> None:
    assert stand(a=Loading(0.5, 4.0), b=Queued(2, 20.0)) == ev.BattleQueued(2, 20.0)
    assert stand(a=Queued(1, 2.0), b=Loading(0.25, 9.0)) == ev.BattleLoading(0.25, 9.0)


@pytest.mark.parametrize(
    ("now", "told", "since_s", "news"),
    [
        (ev.BattleQueued(2, 30.0), None, 0.0, True),
        (ev.BattleQueued(2, 28.0), ev.BattleQueued(2, 30.0), 2.0, False),
        (ev.BattleQueued(2, 30.0), ev.BattleQueued(2, 30.0), 4.0, False),
        (ev.BattleQueued(1, 28.0), ev.BattleQueued(2, 30.0), 2.0, True),
        (ev.BattleQueued(2, 38.0), ev.BattleQueued(2, 30.0), 1.0, True),
        (ev.BattleQueued(2, 20.0), ev.BattleQueued(2, 30.0), 1.0, True),
        (ev.BattleQueued(2, 110.0), ev.BattleQueued(2, 100.0), 0.0, False),
        (ev.BattleQueued(2, 125.0), ev.BattleQueued(2, 100.0), 0.0, True),
        (ev.BattleQueued(2, 1.0), ev.BattleQueued(2, 3.0), 60.0, False),
        (ev.BattleQueued(2, None), ev.BattleQueued(2, None), 1.0, False),
        (ev.BattleQueued(2, 5.0), ev.BattleQueued(2, None), 1.0, True),
        (ev.BattleLoading(0.1, 9.0), ev.BattleQueued(1, 9.0), 0.3, True),
        (ev.BattleLoading(0.1, 9.0), ev.BattleLoading(0.1, 9.0), 0.3, False),
        (ev.BattleLoading(0.15, 9.0), ev.BattleLoading(0.1, 9.0), 0.3, True),
    ],
)
def test_only_news_is_told(now: Any, told: Any, since_s: float, news: bool) -> None:
    assert is_news(now, told, since_s) is news
