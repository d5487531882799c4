"""Jobs in the queues of workers that do not take them any more: they move, once each, and keep their order."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import redis

from tests.web.helpers import MODELS, queued, report_worker
from web.context import Arena
from web.records import broker, stranded
from worker.contract import jobs, residency
from worker.contract.jobs import queue_of

Begin = Callable[..., str]


@pytest.fixture(autouse=True)
def two(redis_client: redis.Redis) -> None:
    """w1 has every pair of the first three in memory, w2 comes when a test says so."""
    took_part(redis_client, "w1", ready=MODELS[:2])
    took_part(redis_client, "w2", ready=MODELS[:2])


def took_part(client: redis.Redis, worker: str, at: float | None = None, **fields: Any) -> None:
    report_worker(client, worker, **fields)
    client.zadd("arena:queues", {worker: time.time() if at is None else at})


def gone(client: redis.Redis, worker: str) -> None:
    client.delete(f"arena:residency:{worker}")


def silent(client: redis.Redis, worker: str) -> None:
    """Its last report is not gone yet."""
    client.pexpire(f"arena:residency:{worker}", int(1000 * (residency.TTL_S - residency.SILENT_S - 1)))


def tasks(client: redis.Redis, worker: str | None) -> list[str]:
    return [m["headers"]["id"] for m in queued(client, queue_of(worker))]


def sent(arena: Arena, client: redis.Redis, worker: str, count: int) -> list[str]:
    sides = jobs.SideJobs(*(jobs.SideJob(m, (jobs.Message("user", "why?"),)) for m in MODELS[:2]))
    made = [jobs.BattleJob(f"battle{n}", 1, sides, time.time() + 60) for n in range(count)]
    for job in made:
        arena.queue.run_battle(job, worker)
    assert tasks(client, worker) == [job.task for job in made]
    return [job.task for job in made]


def test_of_several_workers_the_battle_goes_to_one_and_waits_nowhere_else(
    arena: Arena, begin: Begin, redis_client: redis.Redis
) -> None:
    battle = begin()
    places = [tasks(redis_client, w) for w in ("w1", "w2")]
    assert sorted(places) == [[], [f"{battle}.1"]]
    assert tasks(redis_client, None) == []
    assert broker.in_line(redis_client) == {f"{battle}.1"}


def test_jobs_of_a_dead_worker_move_in_order_to_one_that_lives(arena: Arena, redis_client: redis.Redis) -> None:
    waiting = sent(arena, redis_client, "w2", 3)
    gone(redis_client, "w2")
    assert stranded.move(arena) == 3
    assert tasks(redis_client, "w2") == []
    assert tasks(redis_client, None) == waiting, "there is one worker left: the queue that all read is its own"
    assert all(m["properties"]["delivery_info"]["routing_key"] == jobs.QUEUE_BATTLES for m in queued(redis_client)), (
        "given back, they go there and not to the dead"
    )
    assert stranded.move(arena) == 0


def test_jobs_of_a_draining_worker_move_to_the_one_that_has_the_pair(arena: Arena, redis_client: redis.Redis) -> None:
    waiting = sent(arena, redis_client, "w2", 2)
    took_part(redis_client, "w2", accepting=False)
    took_part(redis_client, "w3", ready=MODELS[2:])
    assert stranded.move(arena) == 2
    assert sorted(tasks(redis_client, "w1")) == sorted(waiting)


def test_jobs_stay_with_a_starting_worker_when_nobody_else_takes_them(arena: Arena, redis_client: redis.Redis) -> None:
    waiting = sent(arena, redis_client, "w2", 1)
    took_part(redis_client, "w2", accepting=False)
    gone(redis_client, "w1")
    assert stranded.move(arena) == 0
    assert tasks(redis_client, "w2") == waiting


def test_jobs_of_a_silent_worker_move_while_somebody_else_is_sure_to_live(
    arena: Arena, redis_client: redis.Redis
) -> None:
    waiting = sent(arena, redis_client, "w2", 2)
    silent(redis_client, "w2")
    silent(redis_client, "w1")
    assert stranded.move(arena) == 0, "the silent may be alive, and nobody else is"
    took_part(redis_client, "w1", ready=MODELS[:2])
    assert stranded.move(arena) == 2
    assert (tasks(redis_client, "w2"), tasks(redis_client, None)) == ([], waiting)
    assert stranded.move(arena) == 0, "and they stay there"


def test_a_job_sent_to_a_worker_that_died_a_moment_before_is_not_lost(
    arena: Arena, begin: Begin, redis_client: redis.Redis
) -> None:
    battle = begin()
    (chosen,) = [w for w in ("w1", "w2") if tasks(redis_client, w)]
    gone(redis_client, chosen)  # no report tells of it: the sender had read the last one
    assert broker.in_line(redis_client) == {f"{battle}.1"}
    stranded.move(arena)
    assert tasks(redis_client, None) == [f"{battle}.1"]


def test_jobs_of_the_last_worker_wait_for_it_while_it_drains_and_for_all_when_it_is_gone(
    arena: Arena, redis_client: redis.Redis
) -> None:
    waiting = sent(arena, redis_client, "w2", 2)
    gone(redis_client, "w1")
    took_part(redis_client, "w2", accepting=False)
    assert stranded.move(arena) == 0
    gone(redis_client, "w2")
    assert stranded.move(arena) == 2
    assert tasks(redis_client, None) == waiting


def test_a_message_somebody_has_just_taken_is_not_sent_twice(arena: Arena, redis_client: redis.Redis) -> None:
    sent(arena, redis_client, "w2", 1)
    found = broker.messages(redis_client, queue_of("w2"))[0]
    redis_client.rpop(queue_of("w2"))
    assert broker.move(redis_client, found, jobs.QUEUE_BATTLES) is False
    assert tasks(redis_client, None) == []


def test_what_is_no_job_stays_and_stops_nothing(arena: Arena, redis_client: redis.Redis) -> None:
    redis_client.lpush(queue_of("w2"), b'{"body": "no", "properties": {}}')
    sent_after = jobs.ChatJob("chat-1", jobs.SideJob(MODELS[0], (jobs.Message("user", "hi"),)), time.time() + 60)
    arena.queue.run_chat(sent_after, "w2")
    gone(redis_client, "w2")
    assert stranded.move(arena) == 1
    assert tasks(redis_client, None) == ["chat-1"]


def test_a_worker_long_gone_is_forgotten(arena: Arena, redis_client: redis.Redis) -> None:
    took_part(redis_client, "w9", at=time.time() - stranded.FORGOTTEN_S - 1)
    gone(redis_client, "w9")
    stranded.move(arena)
    assert set(residency.with_queues(redis_client)) == {"w1", "w2"}
