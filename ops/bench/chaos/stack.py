"""An arena of real processes that can be killed one by one and brought back, its connections running through proxies.

Nothing supervises it but the bench: what comes back comes back because the bench starts it again, as supervisor would.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import redis
from sqlalchemy import NullPool, create_engine

from ops.bench.arena import ROOT, free_port
from ops.bench.chaos.proxy import Proxy
from ops.bench.processes import Process, wait_for
from ops.setup.environment import redis_server
from ops.setup.postgres import PrivateServer
from ops.setup.programs import redis_options
from ops.setup.venv import Venv
from worker.contract.catalog import EchoScript

DOWN_S = 0.5
"""How long a killed process stays away."""

_SPEEDS = (("one", 30, 110), ("two", 45, 150), ("three", 25, 90), ("four", 35, 130))
SCRIPTS = {
    f"echo-{name}": EchoScript(tokens_per_s=speed, first_token_s=0.1, load_s=0.3, length=length, seed=n)
    for n, (name, speed, length) in enumerate(_SPEEDS)
}
"""What each contender says: the same prompt, the same words, so that every answer can be checked."""


def catalog_text(lifespan: int = 0) -> str:
    """``lifespan``: answers after which an engine dies; 0: never."""
    entries = [
        f'[[models]]\nid = "{model}"\nname = "{model.title()}"\nmaker = "nobody"\nfamily = "{model}"\nlicence = "MIT"\n'
        f'engine = "echo"\necho = {{tokens_per_s = {s.tokens_per_s}, first_token_s = {s.first_token_s}, '
        f"load_s = {s.load_s}, length = {s.length}, seed = {s.seed}, lifespan = {lifespan}}}\n"
        for model, s in SCRIPTS.items()
    ]
    return "\n".join(entries)


class Stack:
    """Redis, records, worker, web. ``url`` and the Redis they all use are proxies, so that connections can be cut.

    Its database is in ``postgres``, else in a file.
    """

    def __init__(self, folder: Path, postgres: PrivateServer | None = None) -> None:
        self.folder = folder
        self.postgres = postgres
        where = postgres.url if postgres else f"sqlite:///{folder / 'arena.sqlite3'}"
        self.database = create_engine(where, poolclass=NullPool)  # a server that was killed has cut what was open
        """The bench's own way to look into it."""
        self.catalog = folder / "catalog.toml"
        self.catalog.write_text(catalog_text())
        web_port, redis_port = free_port(), free_port()
        self.web_proxy, self.redis_proxy = Proxy(web_port), Proxy(redis_port)
        self.url = f"http://127.0.0.1:{self.web_proxy.port}"
        self.redis_url = f"redis://127.0.0.1:{redis_port}/0"
        env = {
            "ARENA_REDIS_URL": f"redis://127.0.0.1:{self.redis_proxy.port}/0",
            "ARENA_CATALOG": str(self.catalog),
            "ARENA_DATA_DIR": str(folder),
            "ARENA_DATABASE_URL": self.database.url.render_as_string(hide_password=False),
            "ARENA_LIMITS": "off",
            "ARENA_BIND": f"127.0.0.1:{web_port}",
            "ARENA_MAX_RESIDENT": "4",
            "ARENA_PACE_TAIL_S": "0.2",
            "ARENA_DRAIN_S": "1",
            "ARENA_RATING_PAUSE_S": "0.2",
        }
        self.env = env
        (folder / "redis").mkdir()
        where = {"port": str(redis_port), "bind": "127.0.0.1", "dir": str(folder / "redis")}
        binary = redis_server(Venv(), {"PATH": os.environ.get("PATH", os.defpath)})
        server = [str(binary), *redis_options(where)]
        quiet = ["--without-mingle", "--without-gossip", "--loglevel", "INFO"]
        celery = [sys.executable, "-m", "celery", "-A"]
        gunicorn = [sys.executable, "-m", "gunicorn", "-c", "ops/gunicorn.conf.py", "web:create_app()"]
        one = ["worker", "-P", "threads", "-c", "1", "-Q", "records", "-n", "records@chaos", *quiet]
        many = ["worker", "-P", "threads", "-c", "128", "-Q", "battles", "-n", "arena@chaos", *quiet]
        self.redis = Process("redis", server, {}, folder)
        self.records = Process("records", [*celery, "web.records", *one], env, folder)
        self.worker = Process("worker", [*celery, "worker", *many], env, folder)
        self.web = Process("web", gunicorn, env, folder)
        self.processes = (self.redis, self.records, self.worker, self.web)

    def start(self) -> None:
        flask = [sys.executable, "-m", "flask", "--app", "web", "migrate"]
        subprocess.run(flask, env={**os.environ, **self.env}, cwd=ROOT, check=True, capture_output=True)
        self.redis.start()
        with redis.Redis.from_url(self.redis_url) as client:
            wait_for("redis", lambda: _answers(client), 20, self.redis)
        for process in self.processes[1:]:
            process.start()
        self.wait_ready()

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.stop(10)
        self.web_proxy.close()
        self.redis_proxy.close()

    def kill(self, process: Process) -> None:
        """SIGKILL, a moment of absence, and back."""
        process.kill()
        time.sleep(DOWN_S)
        process.start()

    def wait_ready(self, timeout: float = 60) -> None:
        """Until a battle could be begun."""
        wait_for("the arena to be ready", lambda: self.ready, timeout, self.web)

    @property
    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(self.url + "/ready", timeout=5) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except OSError:
            return False


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


@contextlib.contextmanager
def running(folder: Path, postgres: PrivateServer | None = None) -> Iterator[Stack]:
    """A ready arena in ``folder``, its rows in ``postgres`` if given; gone afterwards."""
    stack = Stack(folder, postgres)
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()
