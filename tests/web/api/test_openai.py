"""``/v1`` over the test client: what is asked of the worker, OpenAI's forms, refusals, the cache."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient
from pydantic import SecretStr

from tests.processes import wait_for
from tests.web import chatting, helpers
from tests.web.chatting import ANSWER
from web.access import ENVIRONMENT, digest
from web.context import Arena
from web.models import ApiKey, ModelState, now
from web.openai.calls import Call, Calls
from web.settings import WebSettings
from worker.contract import chats, holding, watch
from worker.contract.channel import channel_key
from worker.contract.chats import ChatDelta, ChatDone, ChatFailed
from worker.contract.events import Failure
from worker.contract.jobs import ChatJob, Message, Sampling

KEY = "an operator's first key"
CANARY = "canary-0b1d"
ASK: dict[str, Any] = {"model": "echo-swift", "messages": [{"role": "user", "content": CANARY}]}


@pytest.fixture
def settings(settings: WebSettings) -> WebSettings:
    return settings.model_copy(update={"admin_key": SecretStr(KEY), "v1_cache_s": 60.0, "v1_cache_entries": 2})


@pytest.fixture
def caller(client: FlaskClient, worker: None) -> FlaskClient:
    """Somebody's program."""
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {KEY}"
    return client


@pytest.fixture
def answering(redis_url: str) -> Iterator[list[ChatJob]]:
    with chatting.scripted(redis_url) as jobs:
        yield jobs


def ask(caller: FlaskClient, **more: Any) -> Any:
    return caller.post("/v1/chat/completions", json={**ASK, **more})


def error(reply: Any) -> tuple[int, str, str | None]:
    assert reply.content_type == "application/json", reply.text
    body = reply.get_json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert CANARY not in reply.text
    return reply.status_code, body["error"]["code"], body["error"]["param"]


def chunks(reply: Any) -> list[Any]:
    events = [e.removeprefix("data: ") for e in reply.text.split("\n\n") if e and not e.startswith(":")]
    reply.close()
    assert events[-1] == "[DONE]"
    return [json.loads(e) for e in events[:-1]]


def test_models_are_listed_as_openai_lists_them(caller: FlaskClient) -> None:
    body = caller.get("/v1/models").get_json()
    assert body["object"] == "list"
    assert [m["id"] for m in body["data"]] == list(helpers.MODELS)
    assert all(m["object"] == "model" and m["created"] > 0 and m["owned_by"] for m in body["data"])
    assert caller.get("/v1/models/echo-sage").get_json() == body["data"][1]
    assert error(caller.get("/v1/models/nobody")) == (404, "model_not_found", "model")


def test_an_answer_comes_whole_with_its_usage(caller: FlaskClient, answering: list[ChatJob]) -> None:
    body = ask(caller).get_json()
    assert body["object"] == "chat.completion"
    assert body["model"] == "echo-swift"
    assert body["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hello there.", "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ]
    assert body["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    assert body["id"] == answering[0].id


def test_a_stream_begins_with_the_role_and_ends_with_usage_and_done(
    caller: FlaskClient, answering: list[ChatJob]
) -> None:
    reply = ask(caller, stream=True, stream_options={"include_usage": True})
    assert reply.content_type == "text/event-stream"
    first, *said, last, usage = chunks(reply)
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert [c["choices"][0]["delta"]["content"] for c in said] == ["Hello ", "there."]
    assert last["choices"][0] == {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}
    assert usage["choices"] == []
    assert usage["usage"]["total_tokens"] == 5
    assert {c["object"] for c in [first, *said, last, usage]} == {"chat.completion.chunk"}


def test_usage_comes_only_when_asked_for(caller: FlaskClient, answering: list[ChatJob]) -> None:
    assert all("usage" not in chunk for chunk in chunks(ask(caller, stream=True)))


def test_everything_that_was_asked_reaches_the_worker(caller: FlaskClient, answering: list[ChatJob]) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]},
        {"role": "assistant", "content": "three", "tool_calls": None, "refusal": None},
        {"role": "user", "content": "four"},
    ]
    numbers = {"temperature": 1, "top_p": 0.5, "seed": -7, "max_completion_tokens": 9, "stop": "end", "n": 1}
    assert ask(caller, messages=messages, **numbers, presence_penalty=0, user="me").status_code == 200
    (job,) = answering
    assert job.side.messages == (
        Message("system", "Be brief."),
        Message("user", "one\ntwo"),
        Message("assistant", "three"),
        Message("user", "four"),
    )
    assert job.side.sampling == Sampling(9, 1.0, 0.5, -7, ("end",))
    assert job.session
    assert not job.stream


def test_a_log_is_gone_once_it_has_been_read(
    caller: FlaskClient, answering: list[ChatJob], redis_client: redis.Redis
) -> None:
    ask(caller)
    chunks(ask(caller, stream=True))
    assert not list(redis_client.scan_iter("arena:chat:*:log"))
    assert len(answering) == 2


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"tools": [{"type": "function"}]}, (400, "unsupported_parameter", "tools")),
        ({"response_format": {"type": "json_object"}}, (400, "unsupported_parameter", "response_format")),
        ({"logprobs": True}, (400, "unsupported_parameter", "logprobs")),
        ({"frequency_penalty": 0.5}, (400, "unsupported_parameter", "frequency_penalty")),
        ({"messages": [{**ASK["messages"][0], "name": "b"}]}, (400, "unsupported_parameter", "messages[0].name")),
        ({"stream_options": {"include_usage": True}}, (400, "unsupported_value", "stream_options")),
        ({"max_tokens": 1, "max_completion_tokens": 2}, (400, "unsupported_value", "max_tokens")),
        ({"n": 2}, (422, "invalid_body", "n")),
        ({"temperature": 3}, (422, "invalid_body", "temperature")),
        ({"top_p": 0}, (422, "invalid_body", "top_p")),
        ({"max_tokens": 0}, (422, "invalid_body", "max_tokens")),
        ({"stop": ["a"] * 5}, (422, "invalid_body", "stop")),
        ({"messages": []}, (422, "invalid_body", "messages")),
        ({"messages": [{"role": "tool", "content": "a"}]}, (422, "invalid_body", "messages[0].role")),
        ({"messages": [{"role": "user", "content": 3}]}, (422, "invalid_body", "messages[0].content")),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, (422, "invalid_body", None)),
        ({"messages": [{"role": "user", "content": " "}]}, (422, "empty_prompt", "messages")),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, (422, "invalid_body", "messages")),
        ({"messages": [{"role": "user", "content": "w" * 100_001}]}, (422, "prompt_too_long", "messages")),
        ({"model": "gpt-4"}, (404, "model_not_found", "model")),
    ],
)  # fmt: skip
def test_what_is_not_done_is_refused_by_name(caller: FlaskClient, more: Any, expected: Any) -> None:
    status, code, param = error(ask(caller, **more))
    assert (status, code) == expected[:2]
    if expected[2] is not None:
        assert param == expected[2]


def test_refusals_of_the_server_itself_have_openais_form_too(caller: FlaskClient) -> None:
    assert error(caller.get("/v1/embeddings"))[:2] == (404, "not_found")
    assert error(caller.get("/v1/chat/completions"))[:2] == (405, "method_not_allowed")
    assert error(caller.post("/v1/chat/completions", data="{", content_type="application/json"))[:2] == (
        400,
        "not_json",
    )
    assert error(caller.post("/v1/chat/completions", data="a=b"))[1] == "not_json"
    assert error(ask(caller, messages=[{"role": "user", "content": "w" * 2_000_000}]))[:2] == (413, "body_too_large")


def test_a_key_with_scope_chat_is_needed(client: FlaskClient, arena: Arena, worker: None) -> None:
    token = "arena_k1_" + "s" * 40
    arena.db.write(
        lambda s: s.add(ApiKey(id="k1", name="k", digest=digest(token), scopes=["battle"], limits={}, created_at=now()))
    )
    assert error(client.get("/v1/models"))[:2] == (401, "key_needed")
    assert error(ask(client))[:2] == (401, "key_needed")
    assert error(client.get("/v1/models", headers={"Authorization": "Bearer sk-none"}))[:2] == (401, "bad_key")
    assert error(client.get("/v1/models", headers={"Authorization": f"Bearer {token}"}))[:2] == (403, "scope_missing")


def test_no_session_begins(caller: FlaskClient, answering: list[ChatJob]) -> None:
    assert "Set-Cookie" not in ask(caller).headers
    assert "Set-Cookie" not in caller.get("/v1/models").headers


def test_nobody_to_answer_is_503_and_a_full_line_429(client: FlaskClient, redis_client: redis.Redis) -> None:
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {KEY}"
    assert error(ask(client))[:2] == (503, "no_worker")
    helpers.report_worker(redis_client, refuses_alone={"echo-swift": 17.0})
    reply = ask(client)
    assert error(reply)[:2] == (429, "busy")
    assert reply.headers["Retry-After"] == "17"
    helpers.report_worker(redis_client, failed={"echo-swift": "broken"})
    assert error(ask(client))[:2] == (503, "no_worker")
    assert not helpers.queued(redis_client)


def test_a_model_taken_out_by_an_operator_is_not_there(caller: FlaskClient, arena: Arena) -> None:
    out = ModelState(model="echo-swift", enabled=False, out_until=None, reason="", changed_at=now())
    arena.db.write(lambda s: s.add(out))
    assert error(ask(caller))[:2] == (404, "model_not_found")
    assert "echo-swift" not in caller.get("/v1/models").text


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("context_overflow", (400, "context_length_exceeded", "messages")),
        ("messages_refused", (400, "messages_refused", "messages")),
        ("overloaded", (429, "busy", None)),
        ("load_failed", (503, "no_worker", None)),
        ("engine_failed", (503, "answer_lost", None)),
        ("cancelled", (503, "cancelled", None)),
        ("deadline_exceeded", (504, "deadline_exceeded", None)),
        ("internal", (500, "internal", None)),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_failure_before_any_text_has_its_own_status(
    caller: FlaskClient, redis_url: str, code: str, expected: Any, stream: bool
) -> None:
    with chatting.scripted(redis_url, lambda _: [ChatFailed(Failure(code, "why"), 7.0)]):
        assert error(ask(caller, stream=stream)) == expected


def test_a_failure_after_some_text_is_the_streams_last_event(caller: FlaskClient, redis_url: str) -> None:
    told = [ChatDelta("half"), ChatFailed(Failure("engine_failed", "It died."))]
    with chatting.scripted(redis_url, lambda _: told):
        reply = ask(caller, stream=True)
        assert reply.status_code == 200
        assert chunks(reply)[-1] == {
            "error": {"message": "It died.", "type": "server_error", "param": None, "code": "answer_lost"}
        }


def revoke(redis_client: redis.Redis) -> None:
    """Tell so of the asker's key, of which what is asked of the database now and then knows nothing."""
    heard = channel_key(watch.KEYS)
    wait_for("the key to be watched", lambda: dict(redis_client.pubsub_numsub(heard))[heard.encode()])
    watch.tell_revoked(redis_client, ENVIRONMENT)


def test_a_stream_is_cut_when_its_key_is_revoked(
    caller: FlaskClient, redis_url: str, redis_client: redis.Redis
) -> None:
    with chatting.scripted(redis_url, lambda _: [ChatDelta("half")]):
        reply = ask(caller, stream=True)
        assert reply.status_code == 200
        revoke(redis_client)
        _, half, cut = chunks(reply)
    assert half["choices"][0]["delta"] == {"content": "half"}
    said = {"message": "This key opens nothing", "type": "authentication_error", "param": None, "code": "bad_key"}
    assert cut == {"error": said}


def test_an_answer_that_nothing_was_said_of_is_refused_when_its_key_is_revoked(
    caller: FlaskClient, redis_url: str, redis_client: redis.Redis
) -> None:
    def script(_: ChatJob) -> Any:
        revoke(redis_client)
        return [ChatDelta("half")]

    with chatting.scripted(redis_url, script):
        assert error(ask(caller))[:2] == (401, "bad_key")


# ── the cache ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_request_at_temperature_0_is_answered_once(
    app: Flask, caller: FlaskClient, answering: list[ChatJob], redis_client: redis.Redis
) -> None:
    first, again = ask(caller, temperature=0), ask(caller, temperature=0)
    assert (first.headers["X-Arena-Cache"], again.headers["X-Arena-Cache"]) == ("miss", "hit")
    assert first.get_json()["choices"] == again.get_json()["choices"]
    assert first.get_json()["usage"] == again.get_json()["usage"]
    streamed = ask(caller, temperature=0, stream=True)
    assert streamed.headers["X-Arena-Cache"] == "hit"
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in chunks(streamed)) == "Hello there."
    assert len(answering) == 1
    page = app.extensions["arena_metrics"].page().decode()
    assert 'arena_cache_total{result="hit"} 2.0' in page
    held = [key for key in redis_client.scan_iter("arena:v1:*") if redis_client.type(key) == b"string"]
    assert len(held) == 1
    assert 0 < redis_client.ttl(held[0]) <= 60
    assert all(CANARY.encode() not in key for key in held)
    assert CANARY.encode() not in redis_client.get(held[0])


@pytest.mark.parametrize(
    "other",
    [
        {"model": "echo-sage"},
        {"messages": [{"role": "user", "content": "another"}]},
        {"messages": [{"role": "system", "content": "s"}, *ASK["messages"]]},
        {"max_tokens": 5},
        {"top_p": 0.5},
        {"seed": 1},
        {"stop": "x"},
    ],
)
def test_any_other_request_is_another_answer(caller: FlaskClient, answering: list[ChatJob], other: Any) -> None:
    ask(caller, temperature=0)
    assert ask(caller, temperature=0, **other).headers["X-Arena-Cache"] == "miss"
    assert len(answering) == 2


def test_what_is_drawn_by_chance_is_never_kept(caller: FlaskClient, answering: list[ChatJob]) -> None:
    for _ in range(2):
        assert "X-Arena-Cache" not in ask(caller, temperature=0.1).headers
        assert "X-Arena-Cache" not in ask(caller).headers
    assert len(answering) == 4


def test_a_failure_is_not_kept(caller: FlaskClient, redis_url: str) -> None:
    told: list[Any] = [ChatFailed(Failure("internal", "why"))]
    with chatting.scripted(redis_url, lambda _: told):
        assert ask(caller, temperature=0).status_code == 500
        told[:] = ANSWER
        assert ask(caller, temperature=0).headers["X-Arena-Cache"] == "miss"


def test_the_cache_is_bounded_and_drops_what_was_longest_unused(
    caller: FlaskClient, answering: list[ChatJob], redis_client: redis.Redis
) -> None:
    def hit(seed: int) -> bool:
        return bool(ask(caller, temperature=0, seed=seed).headers["X-Arena-Cache"] == "hit")

    assert not hit(1)
    assert not hit(2)
    assert hit(1)
    assert not hit(3)
    assert hit(1)
    assert not hit(2)
    assert redis_client.zcard("arena:v1:cached") == 2
    assert len(list(redis_client.scan_iter("arena:v1:cache:*"))) == 2


# ── jobs that are lost ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("YOUNG_S", "LOST_S", "LOOK_S", "LISTEN_S"):
        monkeypatch.setattr(f"web.openai.calls.{name}", 0.05)


@pytest.mark.usefixtures("_hasty")
def test_a_job_whose_worker_is_gone_is_sent_again_while_nothing_was_said(caller: FlaskClient, redis_url: str) -> None:
    seen: list[str] = []

    def script(job: ChatJob) -> Any:
        seen.append(job.id)
        return ANSWER if len(seen) > 1 else []

    with chatting.scripted(redis_url, script):
        assert ask(caller).get_json()["choices"][0]["message"]["content"] == "Hello there."
    assert len(seen) >= 2
    assert len(set(seen)) == 1


@pytest.mark.usefixtures("_hasty")
def test_a_stream_whose_worker_is_gone_after_some_text_ends_with_an_error(caller: FlaskClient, redis_url: str) -> None:
    with chatting.scripted(redis_url, lambda _: [ChatDelta("half")]) as jobs:
        said = chunks(ask(caller, stream=True))
    assert said[-1]["error"]["code"] == "answer_lost"
    assert len(jobs) == 1


@pytest.mark.usefixtures("_hasty")
def test_a_job_in_a_workers_hands_is_not_lost(
    caller: FlaskClient, redis_url: str, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    looks: list[set[str]] = []
    send, read = Calls.send, holding.read

    def into_hands(self: Calls, job: ChatJob, reports: Any) -> None:
        redis_client.set("arena:holding:w1", json.dumps([job.id]))
        send(self, job, reports)

    def look(client: redis.Redis) -> set[str]:
        looks.append(read(client))
        return looks[-1]

    def script(job: ChatJob) -> Any:
        seen.append(job.id)
        wait_for("it to be looked for again and again", lambda: len(looks) > 10)
        return ANSWER

    monkeypatch.setattr(Calls, "send", into_hands)
    monkeypatch.setattr(holding, "read", look)
    with chatting.scripted(redis_url, script):
        assert ask(caller).status_code == 200
    assert len(seen) == 1


def test_an_answer_nobody_gives_is_over_soon_after_its_deadline(
    caller: FlaskClient, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.openai.calls.OVERDUE_S", -599.9)
    assert error(ask(caller))[:2] == (504, "deadline_exceeded")


def test_a_log_that_was_lost_with_some_text_ends_the_stream(
    caller: FlaskClient, redis_url: str, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, take = threading.Event(), Call._take

    def noticed(self: Call, seq: int, raw: bytes) -> Any:
        event = take(self, seq, raw)
        read.set()
        return event

    def script(job: ChatJob) -> Any:
        chatting.tell(redis_url, job.id, [ChatDelta("half")])
        assert read.wait(60)
        redis_client.delete(chats.log_key(job.id), chats.meta_key(job.id))
        return ANSWER

    monkeypatch.setattr(Call, "_take", noticed)
    with chatting.scripted(redis_url, script):
        assert chunks(ask(caller, stream=True))[-1]["error"]["code"] == "answer_lost"


def test_the_document_says_what_v1_does(client: FlaskClient) -> None:
    paths = client.get("/openapi.json").get_json()["paths"]
    complete = paths["/v1/chat/completions"]["post"]
    assert set(complete["responses"]["200"]["content"]) == {"application/json", "text/event-stream"}
    assert {"400", "401", "403", "404", "413", "422", "429", "503", "504"} <= set(complete["responses"])
    for status, response in complete["responses"].items():
        if status[0] in "45":
            assert list(response["content"]) == ["application/json"]
    assert complete["security"] == [{"key": ["chat"]}]
    assert {"/v1/models", "/v1/models/{model}"} <= set(paths)


def test_a_prompt_that_does_not_pass_the_screen_is_refused(caller: FlaskClient, redis_client: redis.Redis) -> None:
    flood = [{"role": "user", "content": "a " * 5000}]
    assert error(ask(caller, messages=flood)) == (422, "prompt_refused", "messages")
    assert not helpers.queued(redis_client)


def test_done_is_what_ends_a_length_limited_answer(caller: FlaskClient, redis_url: str) -> None:
    with chatting.scripted(redis_url, lambda _: [ChatDelta("a"), ChatDone("length", 1, 1)]):
        assert ask(caller).get_json()["choices"][0]["finish_reason"] == "length"
