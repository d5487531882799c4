"""A POST that is sent again is answered again, and not done again."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
import redis
from flask import Flask, Response, request
from flask.testing import FlaskClient
from redis.exceptions import ConnectionError as RedisGone
from werkzeug.test import TestResponse

from web import create_app, idempotency
from web.context import Arena
from web.errors import NoWorker
from web.idempotency import CLAIM_S, KEPT_FOR_STRANGERS_S, KEPT_S, LONGEST_ANSWER
from web.security import COOKIE, ensure_owner
from web.settings import WebSettings


class Deed:
    """A view of the test's own, that counts how often it was done."""

    def __init__(self) -> None:
        self.done = 0
        self.answer: Callable[[], Any] = lambda: ({"n": self.done, "said": request.get_json(silent=True)}, 201)

    def __call__(self, **_: str) -> Any:
        self.done += 1
        return self.answer()


def close(app: Flask) -> None:
    """An app of a test's own."""
    arena: Arena = app.extensions["arena"]
    app.extensions["arena_live"].hub.stop()
    arena.queue.celery.close()
    arena.redis.connection_pool.disconnect()
    arena.db.dispose()


@pytest.fixture
def deed() -> Deed:
    return Deed()


@pytest.fixture
def app(app: Flask, deed: Deed) -> Flask:
    app.add_url_rule("/api/deed", "deed", deed, methods=["POST", "PUT"])
    app.add_url_rule("/api/deed/<which>", "other_deed", deed, methods=["POST"])
    return app


@pytest.fixture
def visitor(client: FlaskClient) -> FlaskClient:
    """Somebody with a session."""
    client.get("/")
    assert client.get_cookie(COOKIE)
    return client


def send(client: FlaskClient, key: str | None = "k1", path: str = "/api/deed", body: Any = None) -> TestResponse:
    headers = {} if key is None else {"Idempotency-Key": key}
    return client.post(path, json={"x": 1} if body is None else body, headers=headers)


def code(reply: TestResponse) -> tuple[int, str]:
    return reply.status_code, reply.get_json(force=True)["code"]


def test_the_same_request_gets_the_same_answer_and_is_done_once(visitor: FlaskClient, deed: Deed) -> None:
    first, again = send(visitor), send(visitor)
    assert (first.status_code, first.data, first.content_type) == (again.status_code, again.data, again.content_type)
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.headers["X-Content-Type-Options"] == "nosniff"
    assert deed.done == 1


@pytest.mark.parametrize("other", [{"body": {"x": 2}}, {"path": "/api/deed/other"}, {"path": "/api/deed?y=1"}])
def test_another_request_with_the_key_is_refused(visitor: FlaskClient, deed: Deed, other: dict[str, Any]) -> None:
    send(visitor)
    assert code(send(visitor, **other)) == (422, "idempotency_mismatch")
    assert deed.done == 1


def test_without_a_key_or_with_another_it_is_done_again(visitor: FlaskClient, deed: Deed) -> None:
    for key in (None, None, "k1", "k2"):
        send(visitor, key)
    assert deed.done == 4


def test_keys_of_two_people_have_nothing_to_do_with_each_other(visitor: FlaskClient, app: Flask, deed: Deed) -> None:
    stranger = app.test_client()
    stranger.get("/")
    assert send(visitor).get_json()["n"] == 1
    assert send(stranger, body={"x": 3}).get_json()["n"] == 2


def test_while_the_first_is_being_answered_the_second_is_told_to_come_back(
    visitor: FlaskClient, app: Flask, deed: Deed
) -> None:
    meanwhile: list[TestResponse] = []
    cookie = visitor.get_cookie(COOKIE)
    assert cookie is not None

    def slow() -> tuple[dict[str, Any], int]:
        twin = app.test_client()
        twin.set_cookie(COOKIE, cookie.value)
        meanwhile.append(send(twin))
        return {}, 201

    deed.answer = slow
    assert send(visitor).status_code == 201
    assert code(meanwhile[0]) == (409, "idempotency_in_flight")
    assert meanwhile[0].headers["Retry-After"] == "1"
    assert deed.done == 1


@pytest.mark.parametrize("failure", [lambda: ({}, 422), lambda: ({}, 429), lambda: ({}, 500), "refuse", "crash"])
def test_what_did_not_succeed_may_be_tried_again(visitor: FlaskClient, deed: Deed, failure: Any) -> None:
    def fail() -> Any:
        if failure == "refuse":
            raise NoWorker
        if failure == "crash":
            raise ZeroDivisionError
        return failure()

    succeed, deed.answer = deed.answer, fail
    assert send(visitor).status_code >= 400
    deed.answer = succeed
    assert send(visitor).status_code == 201
    assert deed.done == 2


def test_a_process_that_died_blocks_its_key_for_a_while_only(
    visitor: FlaskClient, deed: Deed, redis_client: redis.Redis
) -> None:
    def look() -> Any:
        (claim,) = redis_client.keys("arena:idempotency:*")
        assert 0 < redis_client.ttl(claim) <= CLAIM_S
        return {}, 201

    deed.answer = look
    assert send(visitor).status_code == 201
    (kept,) = redis_client.keys("arena:idempotency:*")
    assert CLAIM_S < redis_client.ttl(kept) <= KEPT_S


def test_a_claim_that_ran_out_is_not_settled_by_its_late_owner(
    visitor: FlaskClient, deed: Deed, redis_client: redis.Redis
) -> None:
    def late() -> Any:
        (claim,) = redis_client.keys("arena:idempotency:*")
        redis_client.set(claim, b"somebody else's")
        return {}, 201

    deed.answer = late
    send(visitor)
    (held,) = redis_client.keys("arena:idempotency:*")
    assert redis_client.get(held) == b"somebody else's"


def test_a_first_request_with_a_hard_key_gets_the_same_session_again(app: Flask, redis_client: redis.Redis) -> None:
    app.view_functions["deed"] = lambda: ({"owner": ensure_owner()}, 201)
    key = str(uuid.uuid4())
    first, again = (send(app.test_client(), key) for _ in range(2))
    assert first.get_json() == again.get_json()
    assert again.headers["Set-Cookie"] == first.headers["Set-Cookie"]
    (kept,) = redis_client.keys("arena:idempotency:*")
    assert redis_client.ttl(kept) <= KEPT_FOR_STRANGERS_S
    elsewhere = app.test_client().post(
        "/api/deed", json={"x": 1}, headers={"Idempotency-Key": key}, environ_base={"REMOTE_ADDR": "203.0.113.1"}
    )
    assert elsewhere.headers["Set-Cookie"] != first.headers["Set-Cookie"], "the key opens nothing from another address"


def test_a_first_request_with_a_key_that_could_be_guessed_is_refused(client: FlaskClient, deed: Deed) -> None:
    assert code(send(client, "1")) == (422, "bad_idempotency_key")
    assert deed.done == 0


@pytest.mark.parametrize("key", ["", "x" * 65, "ü", "a b"])
def test_a_key_of_the_wrong_form_is_refused(visitor: FlaskClient, deed: Deed, key: str) -> None:
    reply = send(visitor, key)
    assert code(reply) == (422, "bad_idempotency_key")
    assert reply.get_json(force=True)["field"] == "Idempotency-Key"
    assert deed.done == 0


@pytest.mark.parametrize(
    "answer",
    [
        lambda: Response(iter(["a", "b"]), content_type="text/event-stream"),
        lambda: Response(b"x" * (LONGEST_ANSWER + 1)),
    ],
)
def test_what_cannot_be_kept_is_not_done_again_either(visitor: FlaskClient, deed: Deed, answer: Any) -> None:
    deed.answer = answer
    assert send(visitor).status_code == 200
    assert code(send(visitor)) == (409, "not_replayable")
    assert deed.done == 1


@pytest.mark.parametrize(("rule", "again"), [("always", 201), ("never", 409)])
def test_texts_are_kept_where_texts_may_be_stored(settings: WebSettings, deed: Deed, rule: str, again: int) -> None:
    app = create_app(settings.model_copy(update={"store_text": rule}))
    deed.answer = lambda: ({"text": "what a model wrote"}, 201)
    app.add_url_rule("/api/deed", "deed", idempotency.holds_texts(deed), methods=["POST"])
    visitor = app.test_client()
    visitor.get("/")
    assert [send(visitor).status_code for _ in range(2)] == [201, again]
    assert deed.done == 1
    close(app)


def test_a_request_that_only_repeats_safely_needs_no_key(visitor: FlaskClient, deed: Deed) -> None:
    for _ in range(2):
        visitor.put("/api/deed", json={}, headers={"Idempotency-Key": "k1"})
    assert deed.done == 2


def test_without_redis_only_what_keeps_its_own_key_is_done(
    settings: WebSettings, deed: Deed, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(settings)
    arena: Arena = app.extensions["arena"]

    def gone(*_: Any) -> None:
        raise RedisGone

    monkeypatch.setattr(arena.redis, "eval", gone)
    own = Deed()
    own.answer = lambda: ({}, 201)
    app.add_url_rule("/api/deed", "deed", deed, methods=["POST"])
    app.add_url_rule("/api/own", "own", idempotency.keeps_its_own(own), methods=["POST"])
    visitor = app.test_client()
    visitor.get("/")
    assert code(send(visitor)) == (503, "storage_unavailable")
    assert send(visitor, path="/api/own").status_code == 201
    assert (deed.done, own.done) == (0, 1)
    close(app)
