"""``/metrics`` of the real processes: several web processes count together, the records worker tells of its tasks."""

from __future__ import annotations

import os
import signal
import urllib.request
from pathlib import Path

import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families

from ops.client import Client
from tests.integration.conftest import entry
from tests.processes import Stack, arena, free_port, wait_for


def scraped(url: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    with urllib.request.urlopen(url + "/metrics", timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for f in families for s in f.samples}


def pages(stack: Stack) -> float:
    series = scraped(stack.private_url)
    return series.get(("arena_http_requests_total", (("method", "GET"), ("route", "/about"), ("status", "200"))), 0)


def web_workers(stack: Stack) -> list[int]:
    listed = Path(f"/proc/{stack.web.pid}/task/{stack.web.pid}/children").read_text().split()
    return [int(pid) for pid in listed]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="asks /proc for the web processes")
def test_web_processes_count_together_and_a_dead_ones_counts_stay(
    tmp_path: Path, redis_url: str, redis_client: redis.Redis
) -> None:
    (tmp_path / "catalog.toml").write_text(entry("ant") + entry("bee"))
    records = f"127.0.0.1:{free_port()}"
    env = {
        "ARENA_REDIS_URL": redis_url,
        "ARENA_CATALOG": str(tmp_path / "catalog.toml"),
        "ARENA_WEB_WORKERS": "2",
        "ARENA_RECORDS_METRICS_ADDRESS": records,
        "TMPDIR": str(tmp_path),
    }
    with arena(env, tmp_path) as stack:
        client = Client(stack.url)
        for _ in range(20):
            with urllib.request.urlopen(stack.url + "/about", timeout=10) as page:
                page.read()
        wait_for("all requests to be counted, whoever is asked", lambda: pages(stack) == 20, 20)
        with_socket = client
        with_socket.visit()
        held = with_socket.connect()
        gauge = ("arena_connections", (("kind", "websocket"),))
        wait_for("the socket to be seen", lambda: scraped(stack.private_url)[gauge] == 1, 20)
        first, second = web_workers(stack)
        for pid in (first, second):
            os.kill(pid, signal.SIGKILL)
        wait_for("new processes", lambda: not {first, second} & set(web_workers(stack)) and stack.ready, 60)
        held.close()
        assert pages(stack) == 20
        wait_for("the socket to be gone", lambda: scraped(stack.private_url)[gauge] == 0, 20)

        battle = client.start("why?")
        wait_for("the battle", lambda: client.battle(battle)["state"] == "finished", 60)
        done = ("arena_records_tasks_total", (("outcome", "success"), ("task", "records.finished")))
        wait_for("the task to be counted", lambda: scraped(f"http://{records}").get(done) == 1, 20)
        ended = ("arena_turns_ended_total", (("state", "finished"),))
        assert scraped(stack.private_url)[ended] == 1
        assert list(tmp_path.glob("arena-metrics-*"))
    assert not list(tmp_path.glob("arena-metrics-*"))
