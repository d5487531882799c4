"""The real worker with a contender that lives elsewhere: its battles, its endpoint lost and back, the metrics."""

from __future__ import annotations

import secrets
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from celery import Celery
from prometheus_client.parser import text_string_to_metric_families

from tests.openai_stub import Call, Stub, delta, refuse, serving
from tests.processes import Process, celery_worker, free_port, running, wait_accepting, wait_for
from worker.contract import channel, jobs, residency
from worker.contract import events as ev
from worker.contract.brokers import broker_url

CANARY, KEY = "canary-77ab", "sk-canary-77ab"
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
id = "far"
name = "Far"
maker = "Elsewhere"
family = "far"
licence = "Proprietary"
engine = "remote"
remote = {base_url = "URL", model = "far-9000", api_key_env = "FAR_KEY"}
"""


@pytest.fixture
def stub() -> Iterator[Stub]:
    with serving() as served:
        yield served


@pytest.fixture
def metrics_url() -> str:
    return f"http://127.0.0.1:{free_port()}/metrics"


@pytest.fixture
def worker(
    tmp_path: Path, redis_url: str, redis_client: redis.Redis, stub: Stub, metrics_url: str
) -> Iterator[Process]:
    (tmp_path / "catalog.toml").write_text(CATALOG.replace("URL", stub.url))
    env = {
        "ARENA_REDIS_URL": redis_url,
        "ARENA_CATALOG": str(tmp_path / "catalog.toml"),
        "ARENA_METRICS_ADDRESS": metrics_url.removeprefix("http://").removesuffix("/metrics"),
        "ARENA_FAIL_BACKOFF_S": "0.2",
        "ARENA_PATIENCE_S": "1",
        "ARENA_PACE_TAIL_S": "0.1",
        "FAR_KEY": KEY,
        "NO_PROXY": "127.0.0.1",
    }
    process = celery_worker(env, tmp_path)
    with running(process):
        wait_accepting(redis_client, process)
        yield process


@pytest.fixture
def battle(redis_url: str, redis_client: redis.Redis) -> Iterator[Callable[[], dict[str, str]]]:
    """Run one battle of both and say how each side ended, by its finish_reason."""
    app = Celery(broker=broker_url(redis_url), set_as_current=False)

    def go() -> dict[str, str]:
        name = secrets.token_urlsafe(16)
        sides = [jobs.SideJob(m, (jobs.Message("user", f"why {CANARY}?"),)) for m in ("ant", "far")]
        job = jobs.BattleJob(name, 1, jobs.SideJobs(*sides), time.time() + 60)
        options = {"queue": jobs.QUEUE_BATTLES, "task_id": jobs.task_id(name, 1), **jobs.private(name)}
        app.send_task(jobs.RUN_BATTLE, (jobs.encode_job(job),), **options)
        ended: dict[str, str] = {}
        for frame in channel.follow(redis_client, name, timeout=20):
            event = frame.event
            if isinstance(event, ev.BattleRestarted):
                ended.clear()
            elif isinstance(event, ev.SideDone):
                ended[event.side] = event.finish_reason
            elif isinstance(event, ev.SideFailed):
                ended[event.side] = "failed"
            if len(ended) == 2:
                return ended
        raise AssertionError(f"only {ended} ended")

    yield go
    app.close()


def test_a_remote_contender_answers_and_its_worker_keeps_prompt_and_key_to_itself(
    worker: Process, stub: Stub, battle: Callable[[], dict[str, str]], metrics_url: str
) -> None:
    assert battle() == {"a": "stop", "b": "stop"}
    assert stub.calls[0].body["messages"] == [{"role": "user", "content": f"why {CANARY}?"}]
    assert stub.calls[0].authorization == f"Bearer {KEY}"
    stub.reply = refuse(429, {"error": {"message": f"{CANARY} {KEY}"}})
    assert battle() == {"a": "stop", "b": "failed"}

    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(metrics_url, timeout=20) as answer:
        text = answer.read().decode()
    found = {(s.name, s.labels.get("model")): s.value for f in text_string_to_metric_families(text) for s in f.samples}
    assert found["arena_engine_loads_total", "far"] == 1
    assert found["arena_tokens_total", "far"] >= 5
    assert found.get(("arena_engine_reserved_bytes", "far"), 0) == 0
    assert CANARY not in text
    assert CANARY not in worker.text()


def test_an_endpoint_that_was_lost_is_used_again_when_it_is_back(
    worker: Process, stub: Stub, battle: Callable[[], dict[str, str]], redis_client: redis.Redis
) -> None:
    good = stub.reply

    def lose(call: Call) -> None:
        call.begin()
        call.send(delta("Hel"))
        stub.models = (503, "")
        call.hang_up()

    stub.reply = lose
    assert battle()["b"] == "failed"
    assert not [r for r in residency.read(redis_client) if "far" in r.ready]
    stub.models, stub.reply = ["far-9000"], good
    wait_for("the endpoint to be tried again", lambda: battle() == {"a": "stop", "b": "stop"}, 30, worker)
