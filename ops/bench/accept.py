"""Battles accepted per second, against a bare Flask route that does the same insert and the same enqueue.

Each is one gunicorn process with gevent on a core of its own, on a database of its own, beside one Redis; visitors,
each with its session and its connection kept open, post as fast as they are answered, from the other cores. Nobody
answers the battles. The limits are counted and raised out of reach: what is measured is what every prompt goes through.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import redis

from ops.bench.arena import ROOT, free_port
from ops.bench.processes import Process, wait_for
from ops.bench.report import Row, paired
from ops.client import Client
from ops.setup.environment import redis_server
from ops.setup.programs import redis_options
from ops.setup.venv import Venv
from worker.contract.catalog import load_catalog
from worker.contract.residency import Residency

OTHER = "a bare Flask route with the same insert and enqueue"
CATALOG = ROOT / "ops" / "catalogs" / "echo.toml"
PATHS = {"ours": "/api/battles", "other": "/battles"}
APPS = {"ours": "web:create_app()", "other": "ops.bench.accept_bare:make_app()"}
UNREACHABLE = 10**9


def add_arguments(parser: Any) -> None:
    parser.add_argument("--runs", type=int, default=5, help="paired runs (default 5)")
    parser.add_argument("--posts", type=int, default=800, help="posts per run (default 800)")
    parser.add_argument("--visitors", type=int, default=16, help="visitors at once (default 16)")


def run(args: Any) -> tuple[str, list[Row]]:
    with tempfile.TemporaryDirectory(prefix="arena-bench-") as name, _servers(Path(name)) as urls:
        visitors = {who: [_Visitor(url, who) for _ in range(args.visitors)] for who, url in urls.items()}
        rates: dict[str, list[float]] = {"ours": [], "other": []}
        for who in rates:  # everything has been done once before it counts
            _rate(visitors[who], args.posts // 4)
        for number in range(args.runs):
            for who in list(rates) if number % 2 else reversed(rates):
                rates[who].append(_rate(visitors[who], args.posts))
    return OTHER, [paired("battles accepted", "battles/s", rates["ours"], rates["other"])]


def _rate(visitors: Sequence[_Visitor], posts: int) -> float:
    share = posts // len(visitors)
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(len(visitors)) as threads:
        list(threads.map(lambda v: v.post(share), visitors))
    return share * len(visitors) / (time.monotonic() - began)


class _Visitor:
    """A session; a connection for each run."""

    def __init__(self, url: str, who: str) -> None:
        client = Client(url)
        client.visit()
        host, _, port = url.removeprefix("http://").partition(":")
        self._place = (host, int(port))
        cookie = "; ".join(f"{c.name}={c.value}" for c in client.cookies)
        self._headers = {"Content-Type": "application/json", "Origin": url, "Cookie": cookie}
        self._path = PATHS[who]

    def post(self, times: int) -> None:
        line = http.client.HTTPConnection(*self._place, timeout=60)
        for n in range(times):
            body = json.dumps({"prompt": f"Why is the sky blue, for the {n}th time?"}).encode()
            line.request("POST", self._path, body, self._headers)
            answer = line.getresponse()
            said = answer.read()
            if answer.status != 202:
                raise SystemExit(f"a battle was not accepted: {answer.status} {said[:200]!r}")
        line.close()


# ── what is measured, and what it needs ──────────────────────────────────────────────────────────────────────────


@contextlib.contextmanager
def _servers(folder: Path) -> Iterator[dict[str, str]]:
    """Their URLs by name, while both run."""
    socket = folder / "redis.sock"
    kept = {"port": "0", "unixsocket": str(socket), "dir": str(folder)}
    binary = redis_server(Venv(), {"PATH": os.environ.get("PATH", os.defpath)})
    cores = sorted(os.sched_getaffinity(0))
    apart = [] if len(cores) < 2 else ["taskset", "-c", str(cores[0])]
    others = set(cores[1:] or cores)
    with contextlib.ExitStack() as stack:
        os.sched_setaffinity(0, others)
        stack.callback(os.sched_setaffinity, 0, set(cores))
        server = Process("redis", [str(binary), *redis_options(kept)], {}, folder).start()
        stack.callback(server.stop)
        client = stack.enter_context(contextlib.closing(redis.Redis(unix_socket_path=str(socket))))
        wait_for("redis", lambda: _answers(client), 20, server)
        stack.enter_context(_reporting(client))
        urls = {}
        for who, app in APPS.items():
            data = folder / who
            data.mkdir()
            port = free_port()
            env = _environment(f"unix://{socket}?db=0", data, port)
            flask = [sys.executable, "-m", "flask", "--app", "web", "migrate"]
            subprocess.run(flask, env={**os.environ, **env}, cwd=ROOT, check=True, capture_output=True)
            gunicorn = [*apart, sys.executable, "-m", "gunicorn", "-c", "ops/gunicorn.conf.py", app]
            process = Process(who, gunicorn, env, folder).start()
            stack.callback(process.stop)
            urls[who] = f"http://127.0.0.1:{port}"
            wait_for(who, lambda url=urls[who]: _is_up(url), 60, process)  # type: ignore[misc]
        yield urls


def _environment(redis_url: str, data: Path, port: int) -> dict[str, str]:
    raised = ("PROMPTS_PER_MINUTE", "PROMPTS_PER_DAY", "REQUESTS_PER_MINUTE", "OPEN_BATTLES")
    addresses = ("PROMPTS_PER_MINUTE_PER_ADDRESS", "PROMPTS_PER_DAY_PER_ADDRESS")
    return {
        "ARENA_REDIS_URL": redis_url,
        "ARENA_DATA_DIR": str(data),
        "ARENA_CATALOG": str(CATALOG),
        "ARENA_BIND": f"127.0.0.1:{port}",
        **{f"ARENA_{name}": str(UNREACHABLE) for name in (*raised, *addresses)},
    }


@contextlib.contextmanager
def _reporting(client: Any) -> Iterator[None]:
    """A worker that says it is there; what is queued for it, nobody takes."""
    models = load_catalog(CATALOG).ids
    over = threading.Event()

    def report() -> None:
        while True:
            told = Residency("bench", time.time(), accepting=True, capacity=2, models=models, ready=models[:2])
            client.set("arena:residency:bench", msgspec.json.encode(told), ex=10)
            client.sadd("arena:workers", "bench")
            if over.wait(2):
                return

    thread = threading.Thread(target=report)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _answers(client: Any) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def _is_up(url: str) -> bool:
    try:
        Client(url, timeout=5).visit()
    except OSError:
        return False
    return True
