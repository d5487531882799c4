"""A result that waits for a database that is down shows its answer nowhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import redis
from celery import Celery

from tests.processes import ROOT, free_port, records_worker, running, wait_for
from worker.contract import jobs
from worker.contract.brokers import broker_url

CANARY = "canary-a7c3"


def test_a_retried_result_shows_its_text_in_no_header_log_or_inspection(
    redis_url: str, redis_client: redis.Redis, tmp_path: Path
) -> None:
    env = {
        "ARENA_REDIS_URL": redis_url,
        "ARENA_DATA_DIR": str(tmp_path),
        "ARENA_CATALOG": str(ROOT / "ops" / "catalogs" / "echo.toml"),
        "ARENA_DATABASE_URL": f"postgresql://nobody@127.0.0.1:{free_port()}/nothing",
    }
    side = jobs.SideResult(CANARY, "stop")
    result = jobs.BattleResult("battle-0001", 1, 1, jobs.SideResults(side, side))
    with Celery(broker=broker_url(redis_url), set_as_current=False) as app:
        app.send_task(jobs.RECORDS_FINISHED, (result,), queue=jobs.QUEUE_RECORDS, **jobs.private("battle-0001"))
    process = records_worker(env, tmp_path)
    with running(process):
        wait_for("a retry", lambda: "Retry in" in process.text(), 30, process)
        for view in ("scheduled", "active", "reserved"):
            inspect = [sys.executable, "-m", "celery", "-A", "web.records", "inspect", view]
            seen = subprocess.run(inspect, capture_output=True, text=True, cwd=ROOT, env={**os.environ, **env})
            assert "records@test" in seen.stdout, seen.stderr
            assert CANARY not in seen.stdout
        waiting = redis_client.hvals("arena:records:unacked") + redis_client.lrange(jobs.QUEUE_RECORDS, 0, -1)
        for message in (json.loads(m) for m in waiting):
            headers = message[0]["headers"] if isinstance(message, list) else message["headers"]
            assert CANARY not in json.dumps(headers)
        assert CANARY not in process.text()
