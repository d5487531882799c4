"""Real processes for tests: started, watched, and gone when the test is over."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import redis

from ops.bench.arena import ROOT as ROOT
from ops.bench.arena import free_port as free_port
from ops.bench.processes import Process as Process
from ops.bench.processes import wait_for as wait_for
from worker.contract import residency


def celery_worker(env: Mapping[str, str], log_dir: Path, name: str = "worker") -> Process:
    """The GPU worker as an operator starts it; not started yet."""
    options = ["-P", "threads", "-c", "64", "-Q", "battles", "-n", f"{name}@test", "--loglevel", "INFO"]
    quiet = ["--without-mingle", "--without-gossip"]
    return Process(name, [sys.executable, "-m", "celery", "-A", "worker", "worker", *options, *quiet], env, log_dir)


def records_worker(env: Mapping[str, str], log_dir: Path) -> Process:
    """The records worker as an operator starts it; not started yet."""
    options = ["-P", "threads", "-c", "1", "-Q", "records", "-n", "records@test", "--loglevel", "INFO"]
    quiet = ["--without-mingle", "--without-gossip"]
    app = [sys.executable, "-m", "celery", "-A", "web.records"]
    return Process("records", [*app, "worker", *options, *quiet], env, log_dir)


def wait_accepting(client: redis.Redis, process: Process, timeout: float = 60) -> residency.Residency:
    """Until the worker reports that it takes battles."""

    def accepting() -> residency.Residency | None:
        return next((r for r in residency.read(client) if r.accepting), None)

    found: residency.Residency = wait_for("the worker to accept battles", accepting, timeout, process)
    return found


def flask_keys(env: Mapping[str, str], *words: str) -> Any:
    """``flask keys``, as an operator of the arena with this environment uses it; what it says."""
    command = [sys.executable, "-m", "flask", "--app", "web", "keys", *words, "--json"]
    around = {**os.environ, **env}
    ran = subprocess.run(command, env=around, cwd=ROOT, check=True, capture_output=True, text=True)
    return json.loads(ran.stdout)


@contextlib.contextmanager
def running(*processes: Process) -> Iterator[None]:
    """Started in order, stopped in reverse."""
    started: list[Process] = []
    try:
        for process in processes:
            started.append(process.start())
        yield
    finally:
        for process in reversed(started):
            process.stop()


class Stack:
    """Worker, records and web of one arena, on a fresh database and the session's Redis."""

    def __init__(self, env: Mapping[str, str], folder: Path) -> None:
        self.port = free_port()
        self.private_port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.private_url = f"http://127.0.0.1:{self.private_port}"
        self.folder = folder
        self.env = {
            "ARENA_DATA_DIR": str(folder),
            "ARENA_LIMITS": "off",
            "ARENA_INTEGRITY_WPM": "0",  # nobody reads here
            "ARENA_BIND": f"127.0.0.1:{self.port},127.0.0.1:{self.private_port}",
            "ARENA_PRIVATE_PORT": str(self.private_port),
            "ARENA_RATING_PAUSE_S": "0.1",
            "ARENA_PACE_TAIL_S": "0.2",
            "ARENA_DRAIN_S": "0.5",
            **env,
        }
        self.worker = celery_worker(self.env, folder)
        self.records = records_worker(self.env, folder)
        gunicorn = [sys.executable, "-m", "gunicorn", "-c", "ops/gunicorn.conf.py", "web:create_app()"]
        self.web = Process("web", gunicorn, self.env, folder)

    def migrate(self) -> None:
        flask = [sys.executable, "-m", "flask", "--app", "web", "migrate"]
        subprocess.run(flask, env={**os.environ, **self.env}, cwd=ROOT, check=True, capture_output=True)

    def wait_ready(self, timeout: float = 60) -> None:
        """Until a battle could be begun."""
        wait_for("the arena to be ready", lambda: self.ready, timeout, self.web)

    @property
    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(self.url + "/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def logs(self) -> str:
        """Everything the processes wrote."""
        return "".join(p.text() for p in (self.worker, self.records, self.web))


@contextlib.contextmanager
def arena(env: Mapping[str, str], folder: Path, timeout: float = 60) -> Iterator[Stack]:
    """A whole arena that is ready, and gone afterwards."""
    stack = Stack(env, folder)
    stack.migrate()
    with running(stack.records, stack.worker, stack.web):
        stack.wait_ready(timeout)
        yield stack
