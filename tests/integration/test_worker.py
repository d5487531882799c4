"""The real worker under Celery on a real broker: jobs, commands, and what becomes of both at a shutdown."""

from __future__ import annotations

import json
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery

from tests.processes import ROOT, Process, celery_worker, running, wait_accepting, wait_for
from worker.contract import channel, jobs
from worker.contract import events as ev
from worker.contract.brokers import broker_url

CANARY = "canary-51c7"
CATALOG = """
[[models]]
id = "ant"
name = "Ant"
maker = "nobody"
family = "ants"
licence = "MIT"
engine = "echo"
echo = {tokens_per_s = 400, length = 40, seed = 1}
[[models]]
id = "bee"
name = "Bee"
maker = "nobody"
family = "bees"
licence = "MIT"
engine = "echo"
echo = {tokens_per_s = 400, length = 40, seed = 2}
[[models]]
id = "slow"
name = "Slow"
maker = "nobody"
family = "slows"
licence = "MIT"
engine = "echo"
echo = {tokens_per_s = 20, length = 200, seed = 3}
"""


@pytest.fixture
def env(tmp_path: Path, redis_url: str, redis_client: redis.Redis) -> dict[str, str]:
    (tmp_path / "echo.toml").write_text(CATALOG)
    return {
        "ARENA_REDIS_URL": redis_url,
        "ARENA_CATALOG": str(tmp_path / "echo.toml"),
        "ARENA_DRAIN_S": "0.2",
        "ARENA_PACE_TAIL_S": "0.1",
    }


@pytest.fixture
def worker(env: dict[str, str], tmp_path: Path, redis_client: redis.Redis) -> Iterator[Process]:
    process = celery_worker(env, tmp_path)
    with running(process):
        wait_accepting(redis_client, process)
        yield process


@pytest.fixture
def send(redis_url: str) -> Iterator[Callable[[str, str], str]]:
    app = Celery(broker=broker_url(redis_url), set_as_current=False)

    def go(a: str, b: str) -> str:
        battle = secrets.token_urlsafe(16)
        sides = [jobs.SideJob(m, (jobs.Message("user", f"why {CANARY}?"),)) for m in (a, b)]
        job = jobs.BattleJob(battle, 1, jobs.SideJobs(*sides), time.time() + 60)
        app.send_task(
            jobs.RUN_BATTLE,
            (jobs.encode_job(job),),
            queue=jobs.QUEUE_BATTLES,
            task_id=jobs.task_id(battle, 1),
            link=app.signature(jobs.RECORDS_FINISHED, queue=jobs.QUEUE_RECORDS, **jobs.private(battle)),
            **jobs.private(battle),
        )
        return battle

    yield go
    app.close()


def celery(env: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    import os

    return subprocess.run(
        [sys.executable, "-m", "celery", "-A", "worker", *words],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **env},
        timeout=60,
        check=False,
    )


def until_both_ended(client: redis.Redis, battle: str) -> list[ev.StoredEvent]:
    told: list[ev.StoredEvent] = []
    for frame in channel.follow(client, battle, timeout=20):
        told.append(frame.event)
        if sum(isinstance(e, ev.SideDone | ev.SideFailed) for e in told) == 2:
            return told
    raise AssertionError


def recorded(client: redis.Redis, count: int) -> list[Any]:
    wait_for(f"{count} messages in records", lambda: client.llen(jobs.QUEUE_RECORDS) >= count)
    return [json.loads(m) for m in client.lrange(jobs.QUEUE_RECORDS, 0, -1)]


def test_a_battle_streams_and_its_result_reaches_queue_records(
    worker: Process, redis_client: redis.Redis, send: Callable[[str, str], str]
) -> None:
    battle = send("ant", "bee")
    told = until_both_ended(redis_client, battle)
    assert sum(isinstance(e, ev.SideDelta) for e in told) > 4
    messages = recorded(redis_client, 2)
    assert {m["headers"]["task"] for m in messages} == {jobs.RECORDS_STARTED, jobs.RECORDS_FINISHED}


def test_prompts_and_answers_stay_out_of_logs_reprs_and_headers(
    worker: Process, env: dict[str, str], redis_client: redis.Redis, send: Callable[[str, str], str]
) -> None:
    long_one = send("slow", "bee")
    for frame in channel.follow(redis_client, long_one, timeout=20):
        if isinstance(frame.event, ev.SideDelta):
            break
    for command in (("inspect", "active"), ("inspect", "battles"), ("inspect", "engines"), ("inspect", "stats")):
        answer = celery(env, *command)
        assert answer.returncode == 0, answer.stderr
        assert CANARY not in answer.stdout
    battle = send("ant", "bee")
    answer_text = "".join(e.text for e in until_both_ended(redis_client, battle) if isinstance(e, ev.SideDelta))
    for message in recorded(redis_client, 3):
        assert CANARY not in json.dumps(message["headers"])
        assert answer_text[:30] not in json.dumps(message["headers"])
    assert CANARY not in worker.text()
    assert answer_text[:30] not in worker.text()


def test_sigterm_hands_a_running_battle_to_the_next_worker(
    worker: Process, env: dict[str, str], tmp_path: Path, redis_client: redis.Redis, send: Callable[[str, str], str]
) -> None:
    battle = send("slow", "ant")
    told: list[ev.StoredEvent] = []
    for frame in channel.follow(redis_client, battle, timeout=20):
        told.append(frame.event)
        if isinstance(frame.event, ev.SideDelta):
            break
    worker.signal(signal.SIGTERM)
    assert worker.wait(20) == 0
    assert redis_client.llen(jobs.QUEUE_BATTLES) == 1
    with running(celery_worker(env, tmp_path, "second")):
        for later in channel.follow(redis_client, battle, after=frame.seq, timeout=20):
            if isinstance(later.event, ev.BattleRestarted):
                assert later.event.attempt == 2
                break


def test_operators_see_and_steer_the_engines(
    worker: Process, env: dict[str, str], redis_client: redis.Redis, send: Callable[[str, str], str]
) -> None:
    listing = celery(env, "inspect", "--list").stdout + celery(env, "control", "--list").stdout
    for command in ("engines", "battles", "load <model>", "unload <model>", "cancel <battle id>"):
        assert command in listing, listing
    seen = json.loads(celery(env, "inspect", "-j", "engines").stdout)["worker@test"]
    assert seen["capacity"] == 2
    assert seen["engines"]["ant"]["state"] == "ready"
    assert "unloads" in celery(env, "control", "unload", "ant").stdout
    refused = celery(env, "control", "load", "fox")
    assert "no model 'fox' in the catalog" in refused.stdout
    assert "Traceback" not in refused.stdout + refused.stderr


def test_an_operator_cancels_a_battle(
    worker: Process, env: dict[str, str], redis_client: redis.Redis, send: Callable[[str, str], str]
) -> None:
    battle = send("slow", "bee")
    for frame in channel.follow(redis_client, battle, timeout=20):
        if isinstance(frame.event, ev.SideDelta):
            break
    assert "is being cancelled" in celery(env, "control", "cancel", battle).stdout
    told = until_both_ended(redis_client, battle)
    assert any(isinstance(e, ev.SideDone) and e.finish_reason == "cancelled" for e in told)
    assert "no battle" in celery(env, "control", "cancel", "nobody-00").stdout


def test_a_user_cancels_a_battle_from_another_process(
    worker: Process, redis_client: redis.Redis, send: Callable[[str, str], str]
) -> None:
    battle = send("slow", "bee")
    for frame in channel.follow(redis_client, battle, timeout=20):
        if isinstance(frame.event, ev.SideDelta):
            break
    channel.request_cancel(redis_client, battle, "user")
    until_both_ended(redis_client, battle)
    finished = [m for m in recorded(redis_client, 2) if m["headers"]["task"] == jobs.RECORDS_FINISHED]
    assert len(finished) == 1


def test_a_bad_catalog_stops_the_worker_with_one_readable_line(env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "echo.toml").write_text(CATALOG.replace('licence = "MIT"', "licence = 3", 1))
    process = celery_worker(env, tmp_path, "bad").start()
    assert process.wait(30) != 0
    text = process.text()
    assert "models[0].licence" in text
    assert "Traceback" not in text


def test_a_bad_setting_stops_the_worker_with_one_readable_line(env: dict[str, str], tmp_path: Path) -> None:
    process = celery_worker({**env, "ARENA_MAX_RESIDENT": "one"}, tmp_path, "bad").start()
    assert process.wait(30) != 0
    assert "ARENA_MAX_RESIDENT: Input should be a valid integer" in process.text()
    assert "Traceback" not in process.text()
