"""Little things that tests of the web side share."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from flask import Flask
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from web import create_app
from web.context import Arena
from web.settings import WebSettings
from worker.contract import channel, jobs
from worker.contract.events import SideDelta, SideDone, SideStarted
from worker.contract.jobs import BattleJob, BattleResult, SideResult, SideResults, Timings
from worker.contract.residency import Residency

MODELS = ("echo-swift", "echo-sage", "echo-bard", "echo-coder")


@contextmanager
def running(settings: WebSettings) -> Iterator[Flask]:
    """An app, and afterwards nothing of it: no thread, no connection."""
    app = create_app(settings)
    try:
        yield app
    finally:
        arena: Arena = app.extensions["arena"]
        app.extensions["arena_live"].reactor.stop()
        app.extensions["arena_live"].hub.stop()
        app.extensions["arena_calls"].hub.stop()
        arena.queue.celery.close()
        arena.redis.connection_pool.disconnect()
        arena.db.dispose()


def unreachable_redis() -> Redis:
    """A client whose server is not there, and that says so at once."""
    return Redis(port=1, retry=Retry(NoBackoff(), 0))


def report_worker(redis: Any, worker: str = "w1", **fields: Any) -> None:
    """As a worker does: accepting, nothing waiting, unless told otherwise."""
    known = {"accepting": True, "capacity": 2, "models": MODELS, "ready": MODELS[:2], "queue_bound": 100, **fields}
    report = Residency(worker=worker, at=time.time(), **known)
    redis.set(f"arena:residency:{worker}", msgspec.json.encode(report))
    redis.sadd("arena:workers", worker)


def side(text: str = "An answer.", finish_reason: Any = "stop", **fields: Any) -> SideResult:
    timings = Timings(queued_s=0.1, first_token_s=0.2, duration_s=1.2)
    return SideResult(text=text, finish_reason=finish_reason, completion_tokens=11, timings=timings, **fields)


def result(
    battle: str, attempt: int = 1, a: SideResult | None = None, b: SideResult | None = None, turn: int = 1, **f: Any
) -> Any:
    sides = SideResults(a=a or side("Answer A."), b=b or side("Answer B."))
    return BattleResult(battle_id=battle, turn=turn, attempt=attempt, sides=sides, **f)


def stream(redis: Any, outcome: BattleResult, sides: str = "ab") -> None:
    """Publish what a worker would while it makes ``outcome``."""
    for name in sides:
        ended: SideResult = getattr(outcome.sides, name)
        channel.publish(redis, outcome.battle_id, [SideStarted(name)], outcome.attempt)
        for word in ended.text.split(" "):
            channel.publish(redis, outcome.battle_id, [SideDelta(name, f"{word} ")], outcome.attempt)
        channel.publish(redis, outcome.battle_id, [SideDone(name, ended.finish_reason)], outcome.attempt)


def types(redis: Any, battle: str) -> list[str]:
    """Types of the log's entries, in order."""
    _, frames = channel.read_log(redis, battle)
    return [msgspec.json.decode(f.raw)["type"] for f in frames]


def job(redis: Any) -> BattleJob:
    """The newest job that was sent to the workers."""
    args, _, _ = json.loads(base64.b64decode(queued(redis)[-1]["body"]))
    return jobs.decode_job(args[0])


def queued(redis: Any, queue: str = jobs.QUEUE_BATTLES) -> list[dict[str, Any]]:
    """Celery messages waiting in a queue, oldest first."""
    return [msgspec.json.decode(raw) for raw in reversed(redis.lrange(queue, 0, -1))]
