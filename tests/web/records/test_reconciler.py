"""Lost jobs are found and sent again; those that are only somewhere else are left alone."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import redis
import redis.asyncio
from sqlalchemy import update

from tests.web import helpers
from web.context import Arena
from web.models import Battle, Turn, now
from web.queue import UNACKED_RECORDS, Queue, QueueError
from web.records import broker
from web.records.reconciler import EVERY_S, UNTOLD_S, YOUNG_S, Reconciler
from web.records.service import Records
from worker.contract import channel, holding, jobs
from worker.contract.events import SideDelta

Begin = Callable[..., str]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def reconciler(arena: Arena, records: Records, clock: Clock) -> Reconciler:
    return Reconciler(arena, records, clock)


@pytest.fixture
def looks(reconciler: Reconciler, clock: Clock) -> Callable[..., int]:
    """Look several times, as a records worker does; how many battles were recovered."""

    def go(count: int = 2, every_s: float = EVERY_S) -> int:
        recovered = 0
        for _ in range(count):
            recovered += reconciler.look()
            clock.now += every_s
        return recovered

    return go


@pytest.fixture
def old(begin: Begin, arena: Arena) -> Callable[..., str]:
    """Begin a battle that is old enough to be looked for; ``by`` seconds."""

    def go(by: float = YOUNG_S + 1) -> str:
        battle = begin()
        then = now() - timedelta(seconds=by)
        arena.db.write(lambda s: s.execute(update(Turn).where(Turn.battle_id == battle).values(asked_at=then)))
        return battle

    return go


def row(arena: Arena, battle: str) -> Battle:
    return arena.db.read(lambda s: s.get_one(Battle, battle))


def sent(client: redis.Redis) -> list[str]:
    return [m["headers"]["id"] for m in helpers.queued(client)]


def hold(client: redis.Redis, *battles: str, worker: str = "w1") -> None:
    client.set(f"arena:holding:{worker}", msgspec.json.encode([jobs.task_id(b, 1) for b in battles]))
    client.sadd("arena:workers", worker)


def claim(url: str, battle: str, result: jobs.BattleResult | None = None, text: str = "") -> int:
    """What a worker does with its log until it dies, with its ``result`` kept or not."""

    async def go() -> int:
        async with redis.asyncio.Redis.from_url(url) as client:
            attempt = await channel.claim_attempt(client, battle)
            events = [SideDelta("a", text)] if text else []
            kept = jobs.encode_result(result) if result else b""
            await channel.publish_async(client, battle, events, attempt, turn=1, result=kept)
            return attempt

    return asyncio.run(go())


def test_a_job_that_is_nowhere_at_two_looks_is_sent_again_as_it_was(
    old: Callable[..., str], looks: Callable[..., int], arena: Arena, redis_client: redis.Redis
) -> None:
    battle = old()
    (first,) = helpers.queued(redis_client)
    redis_client.delete(jobs.QUEUE_BATTLES)
    assert (looks(1), sent(redis_client)) == (0, [])
    assert looks(1) == 1
    (again,) = helpers.queued(redis_client)
    assert again["headers"]["id"] == first["headers"]["id"] == jobs.task_id(battle, 1)
    assert {k: again["headers"][k] for k in ("task", "argsrepr")} == {
        k: first["headers"][k] for k in ("task", "argsrepr")
    }
    assert helpers.types(redis_client, battle) == ["turn.started"]
    assert (looks(3), len(sent(redis_client))) == (0, 1)


def test_a_job_in_the_list_or_in_a_workers_hands_is_left_alone(
    old: Callable[..., str], looks: Callable[..., int], redis_client: redis.Redis
) -> None:
    waiting, held = old(), old()
    redis_client.delete(jobs.QUEUE_BATTLES)
    redis_client.lpush(f"{jobs.QUEUE_BATTLES}\x06\x163", msgspec.json.encode({"headers": {"id": f"{waiting}.1"}}))
    hold(redis_client, held)
    assert looks(4) == 0
    assert sent(redis_client) == []


def test_a_job_that_is_only_on_its_way_is_left_alone(
    old: Callable[..., str], looks: Callable[..., int], redis_client: redis.Redis
) -> None:
    battle = old()
    redis_client.delete(jobs.QUEUE_BATTLES)
    assert looks(1) == 0
    hold(redis_client, battle)
    assert looks(1) == 0
    redis_client.delete("arena:holding:w1")
    assert (looks(1), looks(1)) == (0, 1)


def test_a_young_battle_may_still_be_on_its_way_to_the_broker(
    begin: Begin, looks: Callable[..., int], redis_client: redis.Redis
) -> None:
    begin()
    redis_client.delete(jobs.QUEUE_BATTLES)
    assert looks(3) == 0


def test_what_a_dead_worker_had_in_its_hands_comes_once_and_not_again_later(
    old: Callable[..., str], looks: Callable[..., int], redis_client: redis.Redis
) -> None:
    lost, other = old(), old()
    messages = {m["headers"]["id"].split(".")[0]: m for m in helpers.queued(redis_client)}
    redis_client.delete(jobs.QUEUE_BATTLES)
    for battle in (lost, other):
        redis_client.hset(broker.UNACKED, battle, msgspec.json.encode([messages[battle], "", jobs.QUEUE_BATTLES]))
        redis_client.zadd(f"{broker.UNACKED}_index", {battle: 1.0})
    hold(redis_client, other)
    assert looks() == 1
    assert sent(redis_client) == [jobs.task_id(lost, 1)]
    assert (
        redis_client.hkeys(broker.UNACKED) == redis_client.zrange(f"{broker.UNACKED}_index", 0, -1) == [other.encode()]
    )


def test_everything_lost_by_redis_is_told_and_sent_anew(
    old: Callable[..., str], looks: Callable[..., int], records: Records, redis_client: redis.Redis
) -> None:
    battle = old()
    records.started(battle, 1, 3)
    redis_client.flushall()
    assert looks() == 1
    (again,) = helpers.queued(redis_client)
    assert helpers.types(redis_client, battle) == ["turn.started"]
    args, _, _ = msgspec.json.decode(b64decode(again["body"]))
    assert args[0]["attempts"] == 3, "the database knows of three attempts that the log forgot"


def test_a_battle_that_never_reached_the_broker_is_put_in_line(
    client: Any, worker: None, arena: Arena, looks: Callable[..., int], redis_client: redis.Redis, monkeypatch: Any
) -> None:
    def away(*_: object, **__: object) -> None:
        raise QueueError("away")

    with monkeypatch.context() as patch:
        patch.setattr(Queue, "run_battle", away)
        battle = client.post("/api/battles", json={"prompt": "Why?"}).get_json()["id"]
    then = now() - timedelta(seconds=YOUNG_S + 1)
    arena.db.write(lambda s: s.execute(update(Turn).values(asked_at=then)))
    assert looks() == 1
    assert sent(redis_client) == [jobs.task_id(battle, 1)]


def test_a_result_that_was_lost_on_its_way_is_stored_from_the_log(
    old: Callable[..., str], looks: Callable[..., int], redis_url: str, arena: Arena, redis_client: redis.Redis
) -> None:
    battle = old()
    redis_client.delete(jobs.QUEUE_BATTLES)
    claim(redis_url, battle, helpers.result(battle))
    assert looks(1 + int(UNTOLD_S / EVERY_S) - 1) == 0, "it may still be on its way"
    assert looks() == 1
    assert (row(arena, battle).state, row(arena, battle).votable) == ("finished", True)
    assert helpers.types(redis_client, battle)[-1] == "battle.votable"
    assert sent(redis_client) == []
    assert channel.kept_result(redis_client, battle) is None


def test_nobody_waits_past_the_deadline(
    old: Callable[..., str], looks: Callable[..., int], records: Records, arena: Arena, redis_client: redis.Redis
) -> None:
    never, begun = old(by=10_000), old(by=10_000)
    records.started(begun, 1, 1)
    redis_client.delete(jobs.QUEUE_BATTLES)
    assert looks() == 2
    codes = [row(arena, b).error["code"] for b in (never, begun)]  # type: ignore[index]
    assert codes == ["queue_unavailable", "deadline_exceeded"]
    assert helpers.types(redis_client, never)[-1] == "battle.failed"
    assert looks(3) == 0


def test_nobody_waits_past_the_deadline_in_a_line_that_no_worker_reads(
    old: Callable[..., str], looks: Callable[..., int], arena: Arena, redis_client: redis.Redis
) -> None:
    waits, late = old(), old(by=10_000)
    assert len(sent(redis_client)) == 2
    looks()
    assert [row(arena, b).state for b in (waits, late)] == ["queued", "failed"]
    assert helpers.types(redis_client, late)[-1] == "battle.failed"


def test_one_records_worker_looks_at_a_time(
    old: Callable[..., str], reconciler: Reconciler, looks: Callable[..., int], arena: Arena, records: Records,
    clock: Clock, redis_client: redis.Redis,
) -> None:  # fmt: skip
    other = Reconciler(arena, records, clock)
    old()
    redis_client.delete(jobs.QUEUE_BATTLES)
    assert looks(1) == 0
    assert [other.look() for _ in range(4)] == [0] * 4
    assert looks(1) == 1


def test_redis_or_the_database_away_is_for_a_later_look(reconciler: Reconciler, arena: Arena, monkeypatch: Any) -> None:
    def away(_: object) -> None:
        raise redis.ConnectionError("away")

    monkeypatch.setattr(holding, "read", away)
    monkeypatch.setattr(broker, "waiting", away)
    assert reconciler.look() == 0


def test_a_records_worker_takes_up_what_its_predecessor_had(arena: Arena, redis_client: redis.Redis) -> None:
    arena.queue.refresh_ratings()
    message = redis_client.rpop(jobs.QUEUE_RECORDS)
    assert message is not None
    redis_client.hset(UNACKED_RECORDS, "tag", b'[%s, "", "records"]' % message)
    redis_client.zadd(f"{UNACKED_RECORDS}_index", {"tag": 1.0})
    assert (broker.restore(redis_client, UNACKED_RECORDS), broker.restore(redis_client, UNACKED_RECORDS)) == (1, 0)
    assert redis_client.rpop(jobs.QUEUE_RECORDS) == message
    assert not redis_client.exists(f"{UNACKED_RECORDS}_index")


# ── later turns, and turns tried again ───────────────────────────────────────────────────────────────────────────


@pytest.fixture
def again(old: Callable[..., str], finish: Callable[..., Any], client: Any, arena: Arena) -> Callable[..., str]:
    """A battle whose first turn ended, and that then was asked for more; old enough to be looked for."""

    def go(path: str, **body: Any) -> str:
        battle = old()
        finish(battle)
        assert client.post(f"/api/battles/{battle}/{path}", json=body).status_code == 202
        then = now() - timedelta(seconds=YOUNG_S + 1)
        arena.db.write(lambda s: s.execute(update(Turn).where(Turn.battle_id == battle).values(asked_at=then)))
        return battle

    return go


@pytest.mark.parametrize(("path", "body", "task"), [("turns", {"prompt": "And?"}, "2"), ("retry", {}, "1r1")])
def test_the_lost_job_of_a_later_turn_or_retry_is_sent_again_as_it_was(
    again: Callable[..., str], looks: Callable[..., int], redis_client: redis.Redis, path: str, body: Any, task: str
) -> None:
    battle = again(path, **body)
    first = helpers.job(redis_client)
    redis_client.delete(jobs.QUEUE_BATTLES)
    assert looks() == 1
    resent = msgspec.structs.replace(helpers.job(redis_client), deadline=first.deadline)
    assert (sent(redis_client), resent) == ([f"{battle}.{task}"], first)


def test_a_turn_younger_than_its_battle_is_left_alone(
    again: Callable[..., str], looks: Callable[..., int], arena: Arena, redis_client: redis.Redis
) -> None:
    battle = again("turns", prompt="And?")
    arena.db.write(lambda s: s.execute(update(Turn).where(Turn.battle_id == battle).values(asked_at=now())))
    redis_client.delete(jobs.QUEUE_BATTLES)
    assert (looks(3), sent(redis_client)) == (0, [])


def test_the_kept_result_of_an_earlier_turn_answers_no_later_one(
    again: Callable[..., str], looks: Callable[..., int], arena: Arena, redis_client: redis.Redis
) -> None:
    battle = again("turns", prompt="And?")
    redis_client.delete(jobs.QUEUE_BATTLES)
    redis_client.hset(channel.meta_key(battle), "result", jobs.encode_result(helpers.result(battle)))
    assert looks() == 1
    assert (sent(redis_client), row(arena, battle).state) == ([jobs.task_id(battle, 2)], "queued")


def test_a_later_turn_that_nobody_answers_in_time_leaves_the_earlier_one_votable(
    again: Callable[..., str], looks: Callable[..., int], arena: Arena, redis_client: redis.Redis
) -> None:
    battle = again("turns", prompt="And?")
    then = now() - timedelta(seconds=10_000)
    arena.db.write(lambda s: s.execute(update(Turn).where(Turn.battle_id == battle).values(asked_at=then)))
    redis_client.delete(jobs.QUEUE_BATTLES)
    assert looks() == 1
    stored = row(arena, battle)
    assert (stored.state, stored.votable) == ("failed", True)
    assert stored.error is not None
    assert stored.error["code"] == "queue_unavailable"
