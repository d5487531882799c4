"""Jobs survive their journey and never show what they carry."""

from __future__ import annotations

import json

import msgspec
import pytest
from celery.utils.saferepr import saferepr
from kombu.utils.json import dumps

from worker.contract import jobs
from worker.contract.brokers import broker_url
from worker.contract.jobs import BattleJob, BattleResult, Message, SideJob, SideJobs, SideResult, SideResults

CANARY = "canary-9f2"


def job() -> BattleJob:
    side = SideJob("m", (Message("user", CANARY),))
    return BattleJob("battle-0001", 1, SideJobs(side, side), 10.0)


def result(**changes: object) -> BattleResult:
    side = SideResult(CANARY, "stop")
    other = msgspec.structs.replace(side, **changes)
    return BattleResult("battle-0001", 1, 1, SideResults(side, other))


def test_a_job_comes_back_equal() -> None:
    assert jobs.decode_job(json.loads(dumps(jobs.encode_job(job())))) == job()


def test_a_result_is_serialised_by_celery_and_comes_back_equal() -> None:
    assert jobs.decode_result(json.loads(dumps(result()))) == result()


def test_neither_prompts_nor_answers_are_in_any_repr() -> None:
    for thing in (job(), result(), job().sides.a.messages):
        assert CANARY not in repr(thing)
        assert CANARY not in saferepr(thing)


def test_a_bad_job_is_refused_with_the_field() -> None:
    data = jobs.encode_job(job()) | {"turn": "one"}
    with pytest.raises(msgspec.ValidationError, match=r"\$\.turn"):
        jobs.decode_job(data)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"finish_reason": "length"}, True),
        ({"finish_reason": "cancelled"}, False),
        ({"finish_reason": "failed"}, False),
        ({"text": "  \n"}, False),
    ],
)
def test_only_two_whole_answers_can_be_voted(changes: dict[str, object], expected: bool) -> None:
    assert jobs.votable(result(**changes)) is expected


def test_task_ids_lead_back_to_their_turn() -> None:
    assert jobs.battle_of(jobs.task_id("a-b_c.d", 12)) == ("a-b_c.d", 12, 0)
    assert jobs.battle_of(jobs.task_id("a-b_r.d", 3, 2)) == ("a-b_r.d", 3, 2)
    assert jobs.task_id("a", 3, 2) != jobs.task_id("a", 3)


def test_unix_sockets_are_spelled_for_celery() -> None:
    assert broker_url("unix:///run/r.sock?db=3") == "redis+socket:///run/r.sock?virtual_host=3"
    assert broker_url("redis://h:1/0") == "redis://h:1/0"
