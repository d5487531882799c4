"""The real worker under Celery on a real broker: jobs, and what becomes of them at a shutdown."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis

from tests.integration.conftest import CANARY, CATALOG, until_both_ended, until_delta
from tests.processes import Process, celery_worker, running, wait_for
from worker.contract import channel, jobs
from worker.contract import events as ev


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
    worker: Process,
    celery: Callable[..., subprocess.CompletedProcess[str]],
    redis_client: redis.Redis,
    send: Callable[[str, str], str],
) -> None:
    until_delta(redis_client, send("slow", "bee"))
    for command in ("active", "reserved", "stats", "report"):
        answer = celery("inspect", command)
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
