"""Three real workers on one broker: battles are spread, one worker is drained and one killed, and nothing is lost."""

from __future__ import annotations

import concurrent.futures
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from ops.bench.arena import chosen
from ops.client import Client
from tests.integration.conftest import entry, program
from tests.processes import Process, Stack, celery_worker, running, wait_for
from tests.real import CPU_CATALOG, needs_models
from tests.redis_server import private_redis
from worker.contract import events as ev
from worker.contract import holding, jobs, residency

MODELS = ("ant", "bee", "cat", "dog")
NAMES = ("one", "two", "three")
REAL = ("smollm2-135m", "qwen2.5-coder-0.5b")


def catalog(folder: Path, *models: str) -> str:
    """Stand-ins, and what else is named: of the real ones on this machine."""
    file = folder / f"{len(models)}.toml"
    real = [m for m in models if m in REAL]
    mocks = "".join(entry(m, tokens_per_s=40, length=120, more=", load_s = 0.2") for m in models if m not in real)
    file.write_text((chosen(CPU_CATALOG, real) if real else "") + mocks)
    return str(file)


class Fleet:
    """An arena with several workers. ``down``: those that were killed."""

    def __init__(self, url: str, folder: Path, workers: dict[str, dict[str, str]], env: dict[str, str]) -> None:
        self.stack = Stack({"ARENA_REDIS_URL": url, "ARENA_SAMPLING": "uniform", **env}, folder)
        self.workers = {n: celery_worker({**self.stack.env, **more}, folder, n) for n, more in workers.items()}
        self.pairs: list[tuple[str, ...]] = []
        """What each worker had in memory when all were there."""
        self.redis = redis.Redis.from_url(url)
        self.url = url

    def start(self, timeout: float = 90) -> Iterator[Fleet]:
        self.stack.migrate()
        with running(self.stack.records, *self.workers.values(), self.stack.web):
            self.stack.wait_ready()
            wait_for("every worker", lambda: len(self.accepting()) == len(self.workers), timeout)
            self.pairs = [r.ready for r in residency.read(self.redis)]
            yield self
        self.redis.close()

    def accepting(self) -> set[str]:
        return {r.worker.partition("@")[0] for r in residency.read(self.redis) if r.accepting}

    def busy(self, worker: str) -> int:
        """Battles in a worker's hands, as it reports."""
        return sum(r.running + r.waiting for r in residency.read(self.redis) if r.worker == node(worker))

    def drain(self, worker: str) -> None:
        with program(self.url) as app:
            assert app.control.broadcast("drain", destination=[node(worker)], reply=True, timeout=20, limit=1)

    def process(self, worker: str) -> Process:
        return self.workers[worker]


def node(worker: str) -> str:
    return f"{worker}@test"


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """Three alike, started together."""
    with private_redis(tmp_path) as url:
        workers: dict[str, dict[str, str]] = {name: {} for name in NAMES}
        yield from Fleet(url, tmp_path, workers, {"ARENA_CATALOG": catalog(tmp_path, *MODELS)}).start()


def answered(fleet: Fleet, number: int) -> None:
    """One visitor's battle of one of the pairs that are in memory, by turns. Raises AssertionError when not whole."""
    client = Client(fleet.stack.url, timeout=90)
    named = {"prompt": f"question {number}", "models": list(fleet.pairs[number % len(fleet.pairs)])}
    battle = client.request("POST", "/api/battles", named)["id"]
    watched = client.watch(battle, 90)
    stored = client.battle(battle)
    assert (watched.view.state, stored["state"]) == ("finished", "finished"), stored
    for side in ev.SIDES:
        told = getattr(watched.view.turns[0], side).text
        assert told == stored["turns"][0][side]["text"]
        assert told.strip()


def crowd(fleet: Fleet, visitors: int) -> None:
    """Visitors before and after one worker is drained and another killed, while both are at work."""
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(visitors) as threads:
        first = [threads.submit(answered, fleet, n) for n in range(visitors)]
        wait_for("all to be at work", lambda: all(fleet.busy(w) for w in fleet.workers), 60)
        hands = {name: fleet.busy(name) for name in fleet.workers}
        fleet.drain("one")
        fleet.process("two").kill()
        then = [threads.submit(answered, fleet, n) for n in range(visitors, 2 * visitors)]
        whole = sum(visit.result() is None for visit in (*first, *then))
    print(
        f"{whole} of {2 * visitors} battles answered, 0 lost; drained 'one' and killed 'two' when these had {hands}; "
        f"all over after {time.monotonic() - began:.1f} s"
    )
    wait_for("the killed one to be gone", lambda: fleet.accepting() == {"three"}, 30)
    assert holding.read(fleet.redis) == set(), "nothing is stuck in anybody's hands"
    assert fleet.process("one").running
    queues = [jobs.queue_of(None), *(jobs.queue_of(node(w)) for w in fleet.workers)]
    assert sum(fleet.redis.llen(q) for q in queues) == 0


def test_one_is_drained_and_one_killed_under_load_and_no_battle_is_lost(fleet: Fleet) -> None:
    assert len(set(fleet.pairs)) == 3, "started together, each has loaded another pair"
    assert {model for pair in fleet.pairs for model in pair} == set(MODELS)
    crowd(fleet, 18)


@pytest.mark.long
def test_every_worker_in_turn_is_killed_under_load_and_comes_back(fleet: Fleet) -> None:
    with concurrent.futures.ThreadPoolExecutor(24) as threads:
        visits = [threads.submit(answered, fleet, n) for n in range(240)]
        for worker in (*fleet.workers, *fleet.workers):
            wait_for(
                f"{worker} to be at work", lambda name=worker: fleet.busy(name) or all(v.done() for v in visits), 60
            )
            fleet.process(worker).kill()
            fleet.process(worker).start()
            wait_for("it to be back", lambda name=worker: name in fleet.accepting(), 60)
        for visit in visits:
            visit.result()
    assert holding.read(fleet.redis) == set()


@pytest.mark.real
@pytest.mark.long
@needs_models
def test_the_one_that_is_left_is_a_real_one(tmp_path: Path) -> None:
    """Two workers of stand-ins and one with real engines on a CPU, which has all of them in its catalog."""
    mocks, everything = catalog(tmp_path, *MODELS), catalog(tmp_path, *MODELS, *REAL)
    real = {"ARENA_CATALOG": everything, "ARENA_PRELOAD": ",".join(REAL)}
    workers = {"one": {"ARENA_PRELOAD": "ant,bee"}, "two": {"ARENA_PRELOAD": "cat,dog"}, "three": real}
    with private_redis(tmp_path) as url:
        fleet = Fleet(url, tmp_path, workers, {"ARENA_CATALOG": mocks, "ARENA_MAX_TOKENS": "100"})
        fleet.stack.web.env["ARENA_CATALOG"] = fleet.stack.records.env["ARENA_CATALOG"] = everything
        for served in fleet.start(timeout=240):
            crowd(served, 9)
