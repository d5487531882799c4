"""Commands that come through Redis reach the very functions that Celery's do, on a real runtime."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from tests.processes import wait_for
from tests.worker.control.conftest import Operator
from worker.contract import audit, commands, watch
from worker.contract.commands import Drain, Engines, Load, Pin, Request, Resume
from worker.control.served import Served
from worker.tally import Tally


@pytest.fixture
def served(operator: Operator) -> Served:
    celery = SimpleNamespace(app=SimpleNamespace(arena=operator.runtime), consumer=operator.consumer)
    made = Served(celery, operator.runtime, Tally(["ant", "bee", "cat", "dog"]))
    operator.runtime.also(made.commands, made.board)
    operator.settled()
    return made


def ask(client: redis.Redis, command: Any) -> dict[str, Any]:
    made = commands.send(client, "w@unit", Request("feedc0de", command))
    said = commands.receive(client, made, 4)
    assert said is not None
    assert said.worker == "w@unit"
    return said.body


def test_it_answers_as_celery_does_and_says_who_asked(
    served: Served, operator: Operator, redis_client: redis.Redis
) -> None:
    assert ask(redis_client, Engines()).keys() == operator("engines").keys()
    done = ask(redis_client, Pin("ant"))
    assert done["ok"].startswith("ant stays in memory (operation ")
    refused = ask(redis_client, Load("fox"))
    assert refused["error"].startswith("no model 'fox' in the catalog")
    entries = wait_for("both in the log", lambda: len(e := audit.read(redis_client)) >= 2 and e)
    assert [(e.command, e.by, e.outcome) for e in reversed(entries)] == [
        ("pin", "feedc0de", "ok"),
        ("load", "feedc0de", "refused"),
    ]


def test_drain_and_resume_reach_celerys_consumer(served: Served, operator: Operator, redis_client: redis.Redis) -> None:
    assert "operation" in ask(redis_client, Drain())
    assert operator.consumer.reading == []
    assert "operation" in ask(redis_client, Resume())
    assert operator.consumer.reading == ["battles"]


def test_before_celery_listens_drain_is_refused_in_words(operator: Operator) -> None:
    celery = SimpleNamespace(app=SimpleNamespace(arena=operator.runtime), consumer=None)
    early = Served(celery, operator.runtime, Tally([]))
    assert "still starting" in early.carry_out(Request("k", Drain()))["error"]


def test_a_command_it_does_not_know_is_answered_too(served: Served, redis_client: redis.Redis) -> None:
    made = commands.send(redis_client, "nobody", Request("k", Drain()))
    redis_client.set(f"arena:command:{made}", b'{"by":"k","command":{"command":"dance"}}')
    redis_client.rpush("arena:commands:w@unit", made)
    said = commands.receive(redis_client, made, 4)
    assert said is not None
    assert "does not know that command" in said.body["error"]


def test_the_board_is_told_while_somebody_watches(served: Served, redis_client: redis.Redis) -> None:
    with redis_client.pubsub() as watching:
        watching.subscribe(watch.CHANNEL)
        told = None
        while told is None:
            message = watching.get_message(timeout=10)
            assert message is not None
            told = message if message["type"] == "message" else None
    board = json.loads(told["data"].split(b" ", 2)[2])
    assert (board["type"], board["worker"], board["accepting"]) == ("worker", "w@unit", True)
    assert board["engines"]["engines"]["ant"]["state"] == "ready"
    assert board["throughput"] == {}
    assert {"queue", "memory", "battles", "chats", "operations"} <= board.keys()
