"""SIGKILL of a real engine's process while eight battles stream from it: nobody is left waiting, and it comes back."""

from __future__ import annotations

import secrets
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import redis
from celery import Celery

from tests.processes import Process, celery_worker, running, wait_accepting
from tests.real import CPU_CATALOG, needs_models
from worker.contract import channel, jobs
from worker.contract import events as ev
from worker.contract.brokers import broker_url
from worker.contract.view import fold_all
from worker.engines import strays

pytestmark = [pytest.mark.real, needs_models]

PAIR = ("minimind2-small", "smollm2-135m")
BATTLES = 8
PROMPT = "Tell me about the sea."


@pytest.fixture
def worker(redis_url: str, redis_client: redis.Redis, tmp_path: Path) -> Iterator[Process]:
    env = {
        "ARENA_REDIS_URL": redis_url,
        "ARENA_CATALOG": str(CPU_CATALOG),
        "ARENA_PRELOAD": ",".join(PAIR),
        "ARENA_PACE_TAIL_S": "0.2",
    }
    process = celery_worker(env, tmp_path)
    with running(process):
        wait_accepting(redis_client, process, timeout=240)
        yield process


@pytest.fixture
def send(redis_url: str) -> Iterator[Callable[[], str]]:
    app = Celery(broker=broker_url(redis_url), set_as_current=False)

    def go() -> str:
        battle = secrets.token_urlsafe(16)
        sampling = jobs.Sampling(max_tokens=64)
        sides = [jobs.SideJob(m, (jobs.Message("user", PROMPT),), sampling) for m in PAIR]
        job = jobs.BattleJob(battle, 1, jobs.SideJobs(*sides), time.time() + 300)
        options = {"queue": jobs.QUEUE_BATTLES, "task_id": jobs.task_id(battle, 1), **jobs.private(battle)}
        app.send_task(jobs.RUN_BATTLE, (jobs.encode_job(job),), **options)
        return battle

    yield go
    app.close()


def until_ended(client: redis.Redis, battle: str) -> list[ev.StoredEvent]:
    """The battle's events until both sides have ended in its newest attempt."""
    told: list[ev.StoredEvent] = []
    ended: set[ev.Side] = set()
    try:
        for frame in channel.follow(client, battle, timeout=120):
            event = frame.event
            told.append(event)
            if isinstance(event, ev.BattleRestarted):
                ended.clear()
            elif isinstance(event, ev.SideDone | ev.SideFailed):
                ended.add(event.side)
            if len(ended) == 2:
                return told
    except TimeoutError:
        raise AssertionError(f"a battle was left hanging after {told[-3:]}") from None
    raise AssertionError


def until_text(client: redis.Redis, battle: str) -> None:
    next(f for f in channel.follow(client, battle, timeout=120) if isinstance(f.event, ev.SideDelta))


def engines(worker: Process) -> list[psutil.Process]:
    """Its engine processes: each writes itself down, whatever it is called."""
    tree = psutil.Process(worker.pid).children(recursive=True)
    return [p for p in tree if (strays.run_folder() / f"{p.pid}.json").exists()]


def test_every_battle_ends_when_an_engine_is_killed_and_the_engine_comes_back(
    worker: Process, send: Callable[[], str], redis_client: redis.Redis
) -> None:
    battles = [send() for _ in range(BATTLES)]
    until_text(redis_client, battles[0])
    victim = engines(worker)[0]
    victim.send_signal(signal.SIGKILL)
    with ThreadPoolExecutor(BATTLES) as pool:
        logs = dict(zip(battles, pool.map(lambda b: until_ended(redis_client, b), battles), strict=True))
    for told in logs.values():
        turn = fold_all([ev.TurnStarted(1, PROMPT), *told]).turns[0]
        for side in (turn.a, turn.b):
            assert side.status == "done" or (side.error is not None and side.error.message)
    again = [e for told in logs.values() for e in told if isinstance(e, ev.BattleRestarted)]
    assert again, "somebody had seen text of the engine that was killed, and was told of a new attempt"
    after = until_ended(redis_client, send())
    assert sum(isinstance(e, ev.SideDone) for e in after) == 2
    assert victim.pid not in [p.pid for p in engines(worker)]
    assert len(engines(worker)) == 2
    assert PROMPT not in worker.text()
