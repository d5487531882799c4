"""Batches reach the line as room allows, each prompt once, whatever happens to records workers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis
from sqlalchemy import event, select, update

from tests.web.helpers import MODELS, queued, report_worker, result
from web.arena import batch_feed, batches
from web.arena.batch_feed import Next, NotWaiting
from web.context import Arena
from web.models import Batch, BatchItem, Battle, Words
from web.records.feeder import Feeder, room
from web.records.leader import Leader
from web.records.service import Records
from worker.contract.residency import Residency

OWNER = "a-researcher"


@pytest.fixture
def make(arena: Arena) -> Callable[..., str]:
    def _make(size: int, **options: Any) -> str:
        prompts = [(n, f"prompt {n}") for n in range(1, size + 1)]
        return batches.create(arena, OWNER, "mine", prompts, **options).batch.id

    return _make


@pytest.fixture
def feeder(arena: Arena, redis_client: redis.Redis) -> Feeder:
    report_worker(redis_client, queue_bound=20)
    return Feeder(arena)


def begun(arena: Arena, batch: str) -> list[Battle]:
    query = select(Battle).where(Battle.batch_id == batch).order_by(Battle.created_at)
    return arena.db.read(lambda s: list(s.scalars(query)))


def test_only_a_few_of_a_batch_are_in_flight(
    arena: Arena, feeder: Feeder, make: Callable[..., str], records: Records, redis_client: redis.Redis
) -> None:
    batch = make(10)
    most = arena.settings.batch_in_flight
    assert (feeder.feed(), feeder.feed()) == (most, 0)
    assert len(queued(redis_client)) == most
    first = begun(arena, batch)[0]
    records.finished(result(first.id))
    assert feeder.feed() == 1
    state = arena.db.read(lambda s: batches.read(s, batch, OWNER))
    assert dict(state.counts) == {
        "waiting": 10 - most - 1,
        "queued": most,
        "running": 0,
        "finished": 1,
        "failed": 0,
        "cancelled": 0,
    }
    assert state.state == "running"


def test_a_battle_of_a_batch_is_an_ordinary_one_and_takes_its_prompt_along(
    arena: Arena, feeder: Feeder, make: Callable[..., str]
) -> None:
    batch = make(1)
    feeder.feed()
    [battle] = begun(arena, batch)
    assert (battle.owner, battle.state, battle.ranked, battle.batch_id) == (OWNER, "queued", True, batch)
    item = arena.db.read(lambda s: s.get_one(BatchItem, (batch, 1)))
    assert (item.battle_id, item.prompt) == (battle.id, None)
    assert arena.db.read(lambda s: s.get_one(Words, (battle.id, 1, "prompt")).content) == "prompt 1"


def test_prompts_begin_in_order_and_older_batches_first(arena: Arena, feeder: Feeder, make: Callable[..., str]) -> None:
    older, newer = make(3), make(30)
    feeder.feed()
    assert len(begun(arena, older)) == 3
    assert len(begun(arena, newer)) == arena.settings.batch_in_flight
    numbers = select(BatchItem.number).where(BatchItem.battle_id.is_not(None), BatchItem.batch_id == newer)
    assert sorted(arena.db.read(lambda s: list(s.scalars(numbers)))) == [1, 2, 3, 4]


def test_a_line_that_people_need_gets_nothing_from_batches(
    arena: Arena, feeder: Feeder, make: Callable[..., str], redis_client: redis.Redis
) -> None:
    batch = make(5)
    report_worker(redis_client, queue_bound=20, waiting=10)
    assert feeder.feed() == 0
    report_worker(redis_client, queue_bound=20, waiting=8)
    assert feeder.feed() == 2
    assert len(begun(arena, batch)) == 2


def test_room_is_what_a_share_of_every_line_leaves() -> None:
    def report(waiting: int, bound: int = 10, *, accepting: bool = True) -> Residency:
        return Residency(worker="w", at=0, accepting=accepting, capacity=2, waiting=waiting, queue_bound=bound)

    assert room([report(1), report(4), report(9)], 0.5) == 4 + 1
    assert room([report(0, accepting=False)], 0.5) == 0
    assert room([report(3, bound=0)], 0.5) > 0
    assert room([], 0.5) == 0


def test_a_worker_that_refuses_makes_them_wait_and_loses_none(
    arena: Arena, feeder: Feeder, make: Callable[..., str], redis_client: redis.Redis
) -> None:
    batch = make(2)
    report_worker(redis_client, queue_bound=20, failed=dict.fromkeys(MODELS[1:], "it broke"))
    assert feeder.feed() == 0
    report_worker(redis_client, queue_bound=20)
    assert feeder.feed() == 2
    assert arena.db.read(lambda s: batches.read(s, batch, OWNER)).counts["queued"] == 2


def test_what_is_no_longer_allowed_fails_alone(arena: Arena, feeder: Feeder, make: Callable[..., str]) -> None:
    batch = make(2)
    too_long = "x" * (arena.settings.prompt_max_chars + 1)
    arena.db.write(lambda s: s.execute(update(BatchItem).where(BatchItem.number == 1).values(prompt=too_long)))
    assert feeder.feed() == 1
    counts = arena.db.read(lambda s: batches.read(s, batch, OWNER)).counts
    assert (counts["failed"], counts["queued"]) == (1, 1)
    item = arena.db.read(lambda s: s.get_one(BatchItem, (batch, 1)))
    assert item.error is not None
    assert item.error["code"] == "prompt_too_long"
    assert item.prompt is None


def test_two_feeders_begin_no_prompt_twice(arena: Arena, feeder: Feeder, make: Callable[..., str]) -> None:
    batch = make(1)
    [item] = arena.db.read(lambda s: batch_feed.next_items(s, 4, 10))
    assert feeder.feed() == 1
    assert Feeder(arena)._begin(item) is False
    assert len(begun(arena, batch)) == 1


def test_a_feeder_that_does_not_lead_waits(arena: Arena, make: Callable[..., str], feeder: Feeder) -> None:
    make(1)
    assert Leader(arena.redis, "arena:records:feeder").leads()
    assert feeder.feed() == 0


def test_nothing_of_a_cancelled_batch_begins(arena: Arena, feeder: Feeder, make: Callable[..., str]) -> None:
    batch = make(6)
    feeder.feed()
    items = [Next(arena.db.read(lambda s: s.get_one(Batch, batch)), 6, "prompt 6")]
    after = batches.cancel(arena, batch, OWNER)
    assert (after.state, after.counts["waiting"]) == ("cancelled", 0)
    assert after.counts["cancelled"] == 6
    assert feeder.feed() == 0
    with pytest.raises(NotWaiting):
        arena.db.write(lambda s: batch_feed.claim(s, items[0], "no-battle"))
    kept = select(BatchItem.prompt).where(BatchItem.prompt.is_not(None))
    assert arena.db.read(lambda s: list(s.scalars(kept))) == []


def test_a_named_pair_meets_and_is_not_ranked(arena: Arena, feeder: Feeder, make: Callable[..., str]) -> None:
    batch = make(3, models=list(MODELS[1:3]), sampling={"temperature": 0.0})
    feeder.feed()
    for battle in begun(arena, batch):
        assert {battle.model_a, battle.model_b} == set(MODELS[1:3])
        assert battle.ranked is False
        assert battle.sampling == {"temperature": 0.0}


def test_looking_for_work_does_not_cost_what_has_ended(arena: Arena, make: Callable[..., str]) -> None:
    make(1)
    said: list[tuple[str, Any]] = []
    event.listen(arena.db.engine, "before_cursor_execute", lambda *a: said.append((a[2], a[3])))
    arena.db.read(lambda s: batch_feed.next_items(s, 4, 10))
    looked = [(sql, values) for sql, values in said if "batch_items" in sql]
    assert looked
    for sql, values in looked:
        with arena.db.engine.connect() as connection:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values).all()
        steps = [row[3] for row in plan if "batch_items" in row[3]]
        assert all("ix_batch_items_waiting" in step for step in steps), steps
