"""The records worker as a process, fed as the GPU worker feeds it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import redis

from tests.processes import Process, records_worker, running, wait_for
from tests.web import helpers
from web.arena import battles
from web.arena.board import read_board
from web.arena.voting import cast_vote
from web.context import Arena, build_arena
from web.migrate import upgrade
from web.models import Battle
from web.queue import Queue, make_celery
from web.records.alive import records_alive
from web.settings import WebSettings
from worker.contract import jobs
from worker.contract.jobs import private

SECRET_PROMPT, SECRET_ANSWER = "a prompt for nobody's log", "an answer for nobody's log"


@pytest.fixture
def arena(redis_client: redis.Redis, redis_url: str, tmp_path: Path, repo_root: Path) -> Iterator[Arena]:
    settings = WebSettings(
        redis_url=redis_url, data_dir=tmp_path, catalog=repo_root / "ops/catalogs/echo.toml", rating_pause_s=0.2
    )
    upgrade(settings.database)
    made = build_arena(settings, Queue(make_celery(settings, "web")))
    yield made
    made.queue.celery.close()
    made.redis.connection_pool.disconnect()
    made.db.dispose()


@pytest.fixture
def records(arena: Arena, tmp_path: Path) -> Iterator[Process]:
    env = {
        "ARENA_REDIS_URL": arena.settings.redis_url,
        "ARENA_DATA_DIR": str(tmp_path),
        "ARENA_CATALOG": str(arena.settings.catalog),
        "ARENA_RATING_PAUSE_S": "0.2",
        "ARENA_INTEGRITY_REPEATS": "0",  # one person asks the same thing again and again here
    }
    process = records_worker(env, tmp_path)
    with running(process):
        wait_for("the records worker", lambda: records_alive(arena.redis), process=process)
        yield process


def state(arena: Arena, battle: str) -> str:
    return arena.db.read(lambda s: s.get_one(Battle, battle).state)


def begin(arena: Arena) -> str:
    helpers.report_worker(arena.redis)
    return battles.begin(arena, "me", SECRET_PROMPT).id


def send(arena: Arena, name: str, *args: object) -> None:
    arena.queue.celery.send_task(name, args=args, queue=jobs.QUEUE_RECORDS, **private("for records"))


def test_from_started_to_a_leaderboard(arena: Arena, records: Process) -> None:
    for winner in ("a", "b", "tie"):
        battle = begin(arena)
        send(arena, jobs.RECORDS_STARTED, battle, 1, 1)
        wait_for("running", lambda b=battle: state(arena, b) == "running", process=records)
        outcome = helpers.result(battle, a=helpers.side(SECRET_ANSWER))
        send(arena, jobs.RECORDS_FINISHED, msgspec.to_builtins(outcome))
        wait_for("finished", lambda b=battle: helpers.types(arena.redis, b)[-1] == "battle.votable", process=records)
        cast_vote(arena, "me", battle, winner)  # type: ignore[arg-type]

    def counted() -> bool:
        board = arena.db.read(lambda s: read_board(s, arena.catalog, 1))
        return sum(row.votes for row in board.models) == 6

    wait_for("all three votes on the board", counted, process=records)
    log = records.text()
    assert "records.finished" in log
    assert SECRET_PROMPT not in log
    assert SECRET_ANSWER not in log


def test_a_failed_job_and_a_senseless_result(arena: Arena, records: Process) -> None:
    battle = begin(arena)
    send(arena, jobs.RECORDS_FINISHED, {"battle_id": battle, "words": SECRET_ANSWER})
    send(arena, jobs.RECORDS_FAILED, jobs.task_id(battle, 1))
    wait_for("failed", lambda: helpers.types(arena.redis, battle)[-1] == "battle.failed", process=records)
    assert state(arena, battle) == "failed"
    assert SECRET_ANSWER not in records.text()


def test_results_wait_for_a_records_worker_that_was_away(arena: Arena, tmp_path: Path) -> None:
    battle = begin(arena)
    send(arena, jobs.RECORDS_STARTED, battle, 1, 1)
    send(arena, jobs.RECORDS_FINISHED, msgspec.to_builtins(helpers.result(battle)))
    env = {"ARENA_REDIS_URL": arena.settings.redis_url, "ARENA_DATA_DIR": str(tmp_path),
           "ARENA_CATALOG": str(arena.settings.catalog)}  # fmt: skip
    with running(process := records_worker(env, tmp_path)):
        wait_for("finished", lambda: state(arena, battle) == "finished", process=process)
