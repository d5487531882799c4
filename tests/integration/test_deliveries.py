"""What the broker may do to the real worker: deliver a job twice, or something that is no job at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis

from tests.integration.conftest import program, until_both_ended, until_delta
from tests.processes import Process, wait_for
from worker.contract import channel, jobs
from worker.contract import events as ev


def test_a_copy_of_a_job_that_runs_joins_it_and_generates_nothing(
    worker: Process, redis_client: redis.Redis, send: Callable[..., str]
) -> None:
    battle = send("slow", "bee")
    until_delta(redis_client, battle)
    send("slow", "bee", again=battle)
    wait_for("the copy to be taken", lambda: redis_client.llen(jobs.QUEUE_BATTLES) == 0, process=worker)
    until_both_ended(redis_client, battle)
    wait_for("both to be told to records", lambda: redis_client.llen(jobs.QUEUE_RECORDS) >= 3, process=worker)
    _, log = channel.read_log(redis_client, battle)
    told = [frame.event for frame in log]
    assert not [e for e in told if isinstance(e, ev.BattleRestarted)]
    assert [e.finish_reason for e in told if isinstance(e, ev.SideDone)] == ["stop", "stop"]


class _Harm:
    """Where a pickle is read, it is obeyed."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.file),)


def test_a_message_in_pickle_is_not_even_read(
    worker: Process, redis_url: str, redis_client: redis.Redis, send: Callable[..., str], tmp_path: Path
) -> None:
    harm = tmp_path / "harm"
    with program(redis_url) as app:
        app.send_task(jobs.RUN_BATTLE, (_Harm(harm),), queue=jobs.QUEUE_BATTLES, serializer="pickle")
    until_both_ended(redis_client, send("ant", "bee"))
    assert not harm.exists()
    assert "ContentDisallowed" in worker.text() or "Refusing to deserialize" in worker.text()
