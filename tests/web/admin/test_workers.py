"""Commands to workers: who is asked, what is certain when somebody does not answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis

from tests.web import helpers
from tests.web.admin.conftest import Bearer
from tests.web.admin.worker import Stub
from worker.contract import commands
from worker.contract.commands import Load, Sleep

MakeStub = Callable[..., Stub]
DONE = {"ok": "echo-bard will load (operation 0a1b2c3d)", "operation": "0a1b2c3d"}


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "ANSWER_S", 0.4)


def test_an_inspection_is_what_the_worker_answers(admin: Bearer, stub: MakeStub) -> None:
    worker = stub(engines={"capacity": 2, "engines": {}})
    reply = admin.get("/api/admin/engines")
    assert reply.get_json() == {"workers": {"w1": {"capacity": 2, "engines": {}}}}
    assert worker.asked[0].by == admin.id


def test_a_command_reaches_all_workers_or_the_one_that_is_named(admin: Bearer, stub: MakeStub) -> None:
    one, two = stub("w1", load=DONE, sleep=DONE), stub("w2", load={"error": "already ready"})
    reply = admin.post("/api/admin/engines/echo-bard/load")
    assert reply.status_code == 200
    answers = {a["worker"]: a for a in reply.get_json()["answers"]}
    assert answers["w1"]["operation"] == "0a1b2c3d"
    assert answers["w2"]["error"] == "already ready"
    assert [r.command for r in one.asked + two.asked] == [Load("echo-bard")] * 2

    reply = admin.post("/api/admin/engines/echo-bard/sleep?worker=w1", json={"tier": "l2"})
    assert [a["worker"] for a in reply.get_json()["answers"]] == ["w1"]
    assert one.asked[-1].command == Sleep("echo-bard", "l2")
    assert len(two.asked) == 1


def test_a_refusal_by_all_is_a_problem_with_each_ones_reason(admin: Bearer, stub: MakeStub) -> None:
    stub(load={"error": "no model 'fox' in the catalog"})
    reply = admin.post("/api/admin/engines/fox/load")
    assert (reply.status_code, reply.get_json()["code"]) == (409, "command_refused")
    assert reply.get_json()["detail"] == "no model 'fox' in the catalog"
    assert reply.get_json()["answers"] == [{"worker": "w1", "error": "no model 'fox' in the catalog"}]


def test_without_a_worker_it_is_503_and_a_wrong_name_404(admin: Bearer, stub: MakeStub) -> None:
    reply = admin.post("/api/admin/drain")
    assert (reply.status_code, reply.get_json()["code"]) == (503, "no_worker")
    assert reply.headers["Retry-After"]
    stub()
    reply = admin.post("/api/admin/drain?worker=w9")
    assert (reply.status_code, reply.get_json()["code"]) == (404, "unknown_worker")
    assert reply.get_json()["workers"] == ["w1"]


def test_what_no_worker_took_in_time_is_never_done(short: None, admin: Bearer, redis_client: redis.Redis) -> None:
    helpers.report_worker(redis_client)
    reply = admin.post("/api/admin/drain")
    assert (reply.status_code, reply.get_json()["code"]) == (504, "worker_silent")
    assert reply.get_json()["done"] == "no"
    late = Stub(redis_client, "w1", {"drain": {"ok": "too late"}, "engines": {"here": True}})
    try:
        assert admin.get("/api/admin/engines").get_json() == {"workers": {"w1": {"here": True}}}
        assert [commands.name_of(r.command) for r in late.asked] == ["engines"]
    finally:
        late.stop()


def test_what_was_taken_and_not_answered_is_said_to_be_uncertain(short: None, admin: Bearer, stub: MakeStub) -> None:
    stub("w1", drain=None)
    reply = admin.post("/api/admin/drain")
    assert (reply.status_code, reply.get_json()["done"]) == (504, "unknown")


def test_one_silent_worker_does_not_hide_the_others_answer(short: None, admin: Bearer, stub: MakeStub) -> None:
    stub("w1", drain=DONE)
    stub("w2", drain=None)
    answers = {a["worker"]: a for a in admin.post("/api/admin/drain").get_json()["answers"]}
    assert answers["w1"]["operation"] == "0a1b2c3d"
    assert "has not answered" in answers["w2"]["error"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/engines/ant/sleep", {"tier": "l3"}),
        ("/set_capacity", {"capacity": "two"}),
        ("/set_capacity", {"capacity": 2, "more": 1}),
        ("/set_capacity", {"capacity": 10**30}),
        ("/set_capacity", {}),
    ],
)
def test_nonsense_goes_to_no_worker(admin: Bearer, stub: MakeStub, path: str, body: Any) -> None:
    worker = stub(set_capacity=DONE, sleep=DONE)
    reply = admin.post(f"/api/admin{path}", json=body)
    assert (reply.status_code, reply.get_json()["code"]) == (422, "invalid_body")
    assert worker.asked == []


def test_a_command_leaves_nothing_behind(admin: Bearer, stub: MakeStub, redis_client: redis.Redis) -> None:
    stub(queue={"waiting": 0})
    admin.get("/api/admin/queue")
    left = [*redis_client.keys("arena:command*"), *redis_client.keys("arena:answer*")]
    assert all(0 < redis_client.ttl(k) <= 60 for k in left), left
