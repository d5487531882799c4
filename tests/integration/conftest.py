"""One real worker on stand-in engines, battles to send it, and the operator's ways to reach it."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
NODE = "worker@test"


def entry(model: str, *, tokens_per_s: int = 400, length: int = 40, more: str = "") -> str:
    """One stand-in's entry of a catalog file; ``more`` goes into its script."""
    return f"""
[[models]]
id = "{model}"
name = "{model.title()}"
maker = "nobody"
family = "{model}s"
licence = "MIT"
engine = "echo"
echo = {{tokens_per_s = {tokens_per_s}, length = {length}, seed = 1{more}}}
"""


CATALOG = entry("ant") + entry("bee") + entry("slow", tokens_per_s=20, length=200) + entry("cat")


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
        wait_for("commands to be heard", lambda: f"{NODE} ready" in process.text(), process=process)
        yield process


@contextmanager
def program(redis_url: str) -> Iterator[Celery]:
    """One that sends battles and commands, on connections of its own."""
    with Celery(broker=broker_url(redis_url), set_as_current=False) as app:
        app.conf.control_exchange = "arena.worker"
        yield app


@pytest.fixture
def send(redis_url: str) -> Callable[..., str]:
    """Sends a job; with ``again`` another copy of a battle's."""

    def go(a: str, b: str, again: str | None = None) -> str:
        battle = again or secrets.token_urlsafe(16)
        sides = [jobs.SideJob(m, (jobs.Message("user", f"why {CANARY}?"),)) for m in (a, b)]
        job = jobs.BattleJob(battle, 1, jobs.SideJobs(*sides), time.time() + 60)
        with program(redis_url) as app:
            app.send_task(
                jobs.RUN_BATTLE,
                (jobs.encode_job(job),),
                queue=jobs.QUEUE_BATTLES,
                task_id=jobs.task_id(battle, 1),
                link=app.signature(jobs.RECORDS_FINISHED, queue=jobs.QUEUE_RECORDS, **jobs.private(battle)),
                **jobs.private(battle),
            )
        return battle

    return go


@pytest.fixture
def ask(redis_url: str) -> Callable[..., Any]:
    """Give the worker a command from a program and return its answer."""

    def go(command: str, **arguments: Any) -> Any:
        with program(redis_url) as app:
            replies = app.control.broadcast(command, arguments=arguments, reply=True, timeout=20, limit=1)
        assert replies, f"no answer to {command}"
        return replies[0][NODE]

    return go


@pytest.fixture
def celery(env: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """``celery -A worker ...`` as an operator types it."""

    def go(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "celery", "-A", "worker", *words],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={**os.environ, **env},
            timeout=60,
            check=False,
        )

    return go


def until_delta(client: redis.Redis, battle: str) -> int:
    """The seq of the battle's first text."""
    for frame in channel.follow(client, battle, timeout=20):
        if isinstance(frame.event, ev.SideDelta):
            return frame.seq
    raise AssertionError


def until_both_ended(client: redis.Redis, battle: str) -> list[ev.StoredEvent]:
    told: list[ev.StoredEvent] = []
    for frame in channel.follow(client, battle, timeout=20):
        told.append(frame.event)
        if sum(isinstance(e, ev.SideDone | ev.SideFailed) for e in told) == 2:
            return told
    raise AssertionError
