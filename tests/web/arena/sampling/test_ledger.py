from __future__ import annotations

from typing import Any

import pytest
import redis

from web.arena.sampling import ledger
from web.arena.sampling.failing import Failures

Redis = redis.Redis


@pytest.fixture
def store(redis_client: Redis) -> Any:
    return redis_client


def test_nothing_is_known_of_an_empty_store(store: Any) -> None:
    assert ledger.read(store, drawn=True) == ledger.Ledger()


def test_a_round_counts_until_somebody_begins_the_next(store: Any) -> None:
    ledger.count(store, "b", "a")
    ledger.count(store, "a", "b")
    ledger.count(store, "a", "c")
    ledger.count(store, "a", "c", by=-1)
    seen = ledger.read(store, drawn=True)
    assert (seen.round, seen.drawn) == ("", {"a|b": 2, "a|c": 0})
    ledger.next_round(store, seen.round)
    after = ledger.read(store, drawn=True)
    assert after.round != ""
    assert (after.rounds, after.drawn) == (1, {})
    ledger.next_round(store, after.round)
    assert ledger.read(store, drawn=True).rounds == 2


def test_a_round_that_two_find_over_is_ended_once(store: Any) -> None:
    ledger.next_round(store, "")
    begun = ledger.read(store, drawn=True).round
    ledger.count(store, "a", "b")
    ledger.next_round(store, "")
    again = ledger.read(store, drawn=True)
    assert (again.round, again.drawn) == (begun, {"a|b": 1})


def test_failures_add_up_until_the_model_answers(store: Any) -> None:
    ledger.note_failure(store, ["a", "b"], 100.0)
    ledger.note_failure(store, ["a", "c"], 200.0)
    assert ledger.read(store, drawn=False).failures == {
        "a": Failures(2, 200.0),
        "b": Failures(1, 100.0),
        "c": Failures(1, 200.0),
    }
    ledger.clear_failures(store, ["a", "c"])
    assert set(ledger.read(store, drawn=False).failures) == {"b"}
