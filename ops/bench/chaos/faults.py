"""The ways in which things go wrong. Each fault does its harm to the arena, and returns when what it broke is back."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from ops.bench.chaos.stack import Stack, catalog_text
from ops.bench.processes import wait_for

LOCKED_S = 6.0
CUTS = 4

Fault = Callable[[Stack], None]


def worker(arena: Stack) -> None:
    arena.kill(arena.worker)


def records(arena: Stack) -> None:
    arena.kill(arena.records)


def web(arena: Stack) -> None:
    arena.kill(arena.web)


def redis(arena: Stack) -> None:
    arena.kill(arena.redis)


def deploy(arena: Stack) -> None:
    """A new version of everything but Redis: asked to stop in order, and started."""
    for process in (arena.web, arena.worker, arena.records):
        process.stop()
    for process in (arena.records, arena.worker, arena.web):
        process.start()


def connections(arena: Stack) -> None:
    """Everybody's, a few times: visitors' to web, and all processes' to Redis."""
    for _ in range(CUTS):
        arena.redis_proxy.cut()
        arena.web_proxy.cut()
        time.sleep(0.7)


def database(arena: Stack) -> None:
    """Another process holds the file's lock; a server is killed with SIGKILL, and away for as long."""
    if arena.postgres is not None:
        arena.postgres.kill()
        time.sleep(LOCKED_S)
        arena.postgres.start()
        return
    with arena.database.connect().execution_options(isolation_level="AUTOCOMMIT") as other:
        other.exec_driver_sql("PRAGMA busy_timeout = 30000")
        other.exec_driver_sql("BEGIN IMMEDIATE")
        time.sleep(LOCKED_S)
        other.exec_driver_sql("ROLLBACK")


def engine(arena: Stack) -> None:
    """Engines die by themselves in this round: see :func:`prepared`."""


FAULTS: dict[str, Fault] = {
    "worker": worker,
    "engine": engine,
    "records": records,
    "web": web,
    "redis": redis,
    "deploy": deploy,
    "connections": connections,
    "database": database,
}


@contextlib.contextmanager
def prepared(name: str, arena: Stack, at_once: int) -> Iterator[None]:
    """For the length of a round: where engines are to die, their catalog says so.

    An engine outlives twice the answers it may be asked for at once: after a death the answers it lost come first, and
    if the engine died again under those, a battle would meet more deaths than the attempts it is given.
    """
    if name != "engine":
        yield
        return
    for text in (catalog_text(2 * at_once + 1), catalog_text()):
        arena.catalog.write_text(text)
        arena.worker.stop()
        wait_for("the worker to be gone", lambda: not arena.ready)
        arena.worker.start()
        arena.wait_ready()
        if "lifespan = 0" not in text:
            yield
