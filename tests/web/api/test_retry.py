"""A turn once more: both sides, or the one that failed while the other's answer stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient

from tests.web.api.test_turns import BROKEN, OVERFLOW, ask, code, failed, row
from tests.web.helpers import job, result, side, types
from web.context import Arena
from web.records.service import Records
from worker.contract import channel
from worker.contract.events import SideDelta

Begin = Callable[..., str]
Finish = Callable[..., Any]
HALF = {"a": side("Stands."), "b": side("Half an", "failed", error=BROKEN)}


def retry(client: FlaskClient, battle: str, which: str | None = None) -> Any:
    return client.post(f"/api/battles/{battle}/retry", json={"side": which} if which else {})


@pytest.fixture
def battle(begin: Begin, finish: Finish) -> str:
    """Side b failed."""
    made = begin()
    finish(made, **HALF)
    return made


def texts(client: FlaskClient, battle: str) -> list[str]:
    turn = client.get(f"/api/battles/{battle}").get_json()["turns"][-1]
    return [turn[s]["text"].strip() for s in "ab"]


def test_a_failed_side_is_tried_alone_and_the_other_answer_stands(
    client: FlaskClient, battle: str, finish: Finish, redis_client: redis.Redis
) -> None:
    reply = retry(client, battle, "b")
    assert (reply.status_code, reply.get_json()["turn"], reply.get_json()["retry"]) == (202, 1, 1)
    sent = job(redis_client)
    assert (sent.task, sent.retry, sent.before) == (f"{battle}.1r1", 1, 1)
    assert sent.sides.a.answered is not None
    assert (sent.sides.a.answered.text, sent.sides.b.answered) == ("Stands.", None)
    assert types(redis_client, battle)[-1] == "turn.retried"
    assert texts(client, battle) == ["Stands.", ""]
    finish(battle, sides="b", attempt=2, retry=1, a=side("never stored"), b=side("Whole."))
    assert texts(client, battle) == ["Stands.", "Whole."]
    redis_client.flushall()
    assert texts(client, battle) == ["Stands.", "Whole."]
    assert client.post(f"/api/battles/{battle}/vote", json={"winner": "b"}).status_code == 201


def test_without_a_side_both_are_tried(client: FlaskClient, battle: str, redis_client: redis.Redis) -> None:
    assert retry(client, battle).status_code == 202
    sent = job(redis_client)
    assert (sent.sides.a.answered, sent.sides.b.answered) == (None, None)
    assert texts(client, battle) == ["", ""]


def test_answers_that_ended_well_are_only_tried_together(
    begin: Begin, finish: Finish, client: FlaskClient, arena: Arena
) -> None:
    battle = begin()
    finish(battle)
    for which in "ab":
        assert code(retry(client, battle, which)) == (409, "not_retryable")
    assert row(arena, battle).votable is True
    assert retry(client, battle).status_code == 202
    assert row(arena, battle).votable is False
    finish(battle, attempt=2, retry=1, a=side("Other A."), b=side("Other B."))
    assert texts(client, battle) == ["Other A.", "Other B."]


@pytest.mark.parametrize("which", ["a", "b"])
def test_neither_side_is_tried_alone_when_both_failed(
    begin: Begin, finish: Finish, client: FlaskClient, which: str
) -> None:
    battle = begin()
    finish(battle, **failed(BROKEN))
    assert code(retry(client, battle, which)) == (409, "not_retryable")
    assert retry(client, battle).status_code == 202


def test_the_side_that_stands_is_not_tried_alone(client: FlaskClient, battle: str) -> None:
    assert code(retry(client, battle, "a")) == (409, "not_retryable")


def test_what_would_end_the_same_way_is_not_tried_again(begin: Begin, finish: Finish, client: FlaskClient) -> None:
    battle = begin()
    finish(battle, **failed(OVERFLOW))
    assert code(retry(client, battle)) == (409, "not_retryable")


def test_a_stopped_battle_can_be_tried_again_and_is_not_stopped_by_the_same_wish(
    begin: Begin, client: FlaskClient, finish: Finish, arena: Arena, redis_client: redis.Redis
) -> None:
    battle = begin()
    client.post(f"/api/battles/{battle}/cancel")
    assert retry(client, battle).status_code == 202
    assert (row(arena, battle).state, row(arena, battle).cancelled_by) == ("queued", None)
    wish = channel.Cancel("user", turn=1)
    assert not wish.means(job(redis_client).turn, job(redis_client).retry)
    finish(battle, attempt=1, retry=1)
    assert row(arena, battle).votable is True


def test_a_turn_is_tried_again_only_so_often(client: FlaskClient, battle: str, finish: Finish, arena: Arena) -> None:
    for n in range(1, arena.settings.max_retries + 1):
        assert retry(client, battle).status_code == 202
        finish(battle, attempt=n + 1, retry=n, **HALF)
    reply = retry(client, battle)
    assert (code(reply), reply.get_json(force=True)["limit"]) == ((409, "retry_limit"), 3)


def test_each_turn_has_its_own_retries_and_an_earlier_turn_has_none(
    begin: Begin, finish: Finish, client: FlaskClient, redis_client: redis.Redis
) -> None:
    battle = begin()
    finish(battle)
    retry(client, battle)
    finish(battle, attempt=2, retry=1)
    ask(client, battle)
    finish(battle, attempt=3, turn=2, **HALF)
    assert retry(client, battle, "b").get_json()["retry"] == 1
    sent = job(redis_client)
    assert (sent.turn, sent.retry, sent.before) == (2, 1, 3)
    assert [m.content for m in sent.sides.b.messages] == ["Why is the sky blue?", "Answer B.", "And at sunset?"]
    finish(battle, sides="b", attempt=4, turn=2, retry=1, b=side("Whole."))
    shown = client.get(f"/api/battles/{battle}").get_json()
    assert [(t["turn"], t["retry"], t["b"]["text"].strip()) for t in shown["turns"]] == [
        (1, 1, "Answer B."),
        (2, 1, "Whole."),
    ]


def test_the_result_of_what_was_tried_before_changes_nothing(
    client: FlaskClient, battle: str, records: Records, arena: Arena
) -> None:
    retry(client, battle)
    records.started(battle, 1, 1)
    records.finished(result(battle, a=side("Late."), b=side("Late.")))
    records.failed(f"{battle}.1")
    assert (row(arena, battle).state, row(arena, battle).votable) == ("queued", False)
    assert texts(client, battle) == ["", ""]
    records.failed(f"{battle}.1r1")
    assert row(arena, battle).state == "failed"


@pytest.mark.parametrize("which", ["b", None])
def test_a_log_lost_during_a_retry_leaves_everything_in_view(
    client: FlaskClient, battle: str, redis_client: redis.Redis, arena: Arena, which: str | None
) -> None:
    from web.arena.lining import put_in_line, read_asked

    retry(client, battle, which)
    redis_client.flushall()
    stands = "Stands." if which else ""
    assert texts(client, battle) == [stands, ""]
    asked = arena.db.read(lambda s: read_asked(s, battle))
    assert asked is not None
    put_in_line(arena, asked)  # as the reconciler does
    channel.publish(redis_client, battle, [SideDelta("b", "Anew.")], 2)
    assert types(redis_client, battle) == ["turn.retried", "side.delta"]
    assert texts(client, battle) == [stands, "Anew."]


@pytest.mark.parametrize("body", [{"side": "c"}, {"side": 1}, {"turn": 1}, []])
def test_a_retry_of_the_wrong_form_is_refused(client: FlaskClient, battle: str, body: Any) -> None:
    reply = client.post(f"/api/battles/{battle}/retry", json=body)
    assert code(reply) == (422, "invalid_body")
