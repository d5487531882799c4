"""``/v1`` on the whole stack, real store, worker and gunicorn, with stand-ins: the official client, and curl."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
import redis

from tests import openai_suite as suite
from tests.integration.conftest import entry
from tests.openai_suite import ADMIN_KEY, client, user
from tests.processes import ROOT, Stack, arena, celery_worker, flask_keys, free_port, running, wait_accepting, wait_for
from tests.redis_server import private_redis
from worker.contract import chats

CANARY = "canary-9d3e"
NOTES = ("llama-3.1-8b", "mistral-7b", "qwen-2.5-7b")
"""The models of the first notes, and what these send."""
TEST = '{"model": "llama-3.1-8b", "messages": [{"role": "user", "content": "test"}]}'
HELLO = (
    '{"model": "llama-3.1-8b", "messages": [{"role": "user", "content": "Hello"}], "temperature": 0.7, "stream": true}'
)
CATALOG = (
    "".join(entry(model, tokens_per_s=200, length=60) for model in NOTES)
    + entry("snail", tokens_per_s=10, length=2000).replace("echo =", "max_tokens = 2000\necho =")
    + entry("mute", more=', fail = "start"')
    + entry("narrow").replace("echo =", "max_model_len = 64\necho =")
)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = Path(tmp_path_factory.mktemp("v1"))
    (folder / "echo.toml").write_text(CATALOG)
    with private_redis(folder) as url:
        env = {
            "ARENA_REDIS_URL": url,
            "ARENA_CATALOG": str(folder / "echo.toml"),
            "ARENA_ADMIN_KEY": ADMIN_KEY,
            "ARENA_V1_OPEN": "1",
            "ARENA_V1_CACHE_S": "60",
            "ARENA_MAX_RESIDENT": "6",
            "ARENA_LIMITS": "on",
            "ARENA_PROMPTS_PER_MINUTE": "10000",
        }
        with arena(env, folder) as made:
            yield made


@pytest.fixture
def store(stack: Stack) -> Iterator[redis.Redis]:
    found = redis.Redis.from_url(stack.env["ARENA_REDIS_URL"])
    yield found
    found.close()


# ── the official client ──────────────────────────────────────────────────────────────────────────────────────────


def test_it_lists_models(stack: Stack) -> None:
    suite.lists_models(stack, [*NOTES, "snail", "mute", "narrow"])


def test_it_chats_and_streams(stack: Stack) -> None:
    suite.chats_and_streams_the_same(stack, NOTES[0])


def test_it_stops_where_it_is_told_to(stack: Stack) -> None:
    with client(stack) as api:
        whole = api.chat.completions.create(model=NOTES[0], messages=user("why?")).choices[0].message.content or ""
        word = whole.split()[7]
        for stop in (word, ["never", word]):
            cut = api.chat.completions.create(model=NOTES[0], messages=user("why?"), stop=stop)
            assert cut.choices[0].message.content == whole[: whole.index(word)]
            assert cut.choices[0].finish_reason == "stop"
        short = api.chat.completions.create(model=NOTES[0], messages=user("why?"), max_completion_tokens=3)
        assert short.choices[0].finish_reason == "length"


def test_thirty_two_are_answered_at_once(stack: Stack) -> None:
    suite.answers_many_at_once(stack, list(NOTES))


def test_a_closed_stream_frees_the_engine(stack: Stack, store: redis.Redis) -> None:
    suite.frees_the_engine_when_a_stream_is_closed(stack, store, "snail")
    assert suite.inspect(stack, "chats") == {}
    assert {e["leases"] for e in suite.inspect(stack, "engines")["engines"].values()} == {0}


def test_a_client_that_runs_out_of_time_frees_the_engine(stack: Stack, store: redis.Redis) -> None:
    suite.frees_the_engine_when_the_client_runs_out_of_time(stack, store, "snail")


def test_a_cut_connection_frees_the_engine(stack: Stack, store: redis.Redis) -> None:
    suite.frees_the_engine_when_a_connection_is_cut(stack, store, "snail")
    assert not list(store.scan_iter("arena:chat:*:log"))


def test_each_error_is_the_clients_own_class(stack: Stack) -> None:
    def refused(kind: type[openai.APIStatusError], code: str, key: str = ADMIN_KEY, **more: Any) -> Any:
        asked = {"model": NOTES[0], "messages": user("why?"), **more}
        with client(stack, key) as api, pytest.raises(kind) as caught:
            api.chat.completions.create(**asked)
        assert caught.value.code == code
        return caught.value

    refused(openai.AuthenticationError, "bad_key", key="sk-wrong")
    refused(openai.PermissionDeniedError, "scope_missing", key=suite.new_key(stack, "battle")["key"])
    refused(openai.NotFoundError, "model_not_found", model="gpt-4")
    assert refused(openai.BadRequestError, "unsupported_parameter", logprobs=True).param == "logprobs"
    refused(openai.BadRequestError, "context_length_exceeded", model="narrow", messages=user("word " * 99))
    refused(openai.UnprocessableEntityError, "invalid_body", temperature=9)
    assert refused(openai.InternalServerError, "answer_lost", model="mute").status_code == 503
    once = suite.new_key(stack, "chat", "--limit", "prompts_per_minute=1")["key"]
    with client(stack, once) as api:
        api.chat.completions.create(model=NOTES[0], messages=user("why?"))
    limited = refused(openai.RateLimitError, "rate_limited", key=once)
    assert int(limited.response.headers["Retry-After"]) > 0
    nowhere = openai.OpenAI(base_url=f"http://127.0.0.1:{free_port()}/v1", api_key="k", max_retries=0)
    with nowhere, pytest.raises(openai.APIConnectionError):
        nowhere.models.list()


def test_a_refusal_has_the_same_form_in_a_stream(stack: Stack) -> None:
    with client(stack) as api, pytest.raises(openai.InternalServerError) as caught:
        api.chat.completions.create(model="mute", messages=user("why?"), stream=True)
    assert caught.value.type == "server_error"


def test_a_request_sent_twice_is_a_conflict_until_it_is_answered_and_then_no_more_work(
    stack: Stack, store: redis.Redis
) -> None:
    """What a stream said cannot be given again: the client's own error for 409 says so, at once or afterwards."""
    headers = {"Idempotency-Key": "one-and-the-same"}
    slow: Any = {"model": "snail", "messages": user("A story?"), "stream": True, "extra_headers": headers}
    quick: Any = {"model": NOTES[0], "messages": user("A word?"), "extra_headers": {"Idempotency-Key": "quick-one"}}
    with client(stack) as api:
        ask = api.chat.completions.create
        stream = ask(**slow)
        next(iter(stream))
        with pytest.raises(openai.ConflictError) as caught:
            ask(**slow)
        assert caught.value.code in ("idempotency_in_flight", "not_replayable")
        stream.close()
        suite.wait_free(store, stack)
        with pytest.raises(openai.ConflictError) as caught:
            ask(**slow)
        assert caught.value.code == "not_replayable"
        assert ask(**quick) == ask(**quick)
        with pytest.raises(openai.UnprocessableEntityError) as other:
            ask(**{**quick, "messages": user("Another word?")})
        assert other.value.code == "idempotency_mismatch"


def test_the_cache_answers_a_second_time(stack: Stack) -> None:
    with client(stack) as api:
        ask = api.chat.completions.with_raw_response.create
        replies = [ask(model=NOTES[1], messages=user("cached?"), temperature=0) for _ in range(2)]
    assert [r.headers["x-arena-cache"] for r in replies] == ["miss", "hit"]
    assert replies[0].parse().choices == replies[1].parse().choices


# ── keys ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def in_thread(work: Callable[[], Any]) -> Callable[[], Any]:
    """Begin ``work``; the function returned waits for what it returned, or raises what it raised."""
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(work())
        except Exception as error:  # noqa: BLE001 (told to the test)
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()

    def result() -> Any:
        thread.join(90)
        assert found, "it has not ended"
        return found[0]

    return result


def test_answers_under_way_end_with_the_key_they_were_asked_with(stack: Stack, store: redis.Redis) -> None:
    key = suite.new_key(stack, "chat")
    slow: Any = {"model": "snail", "messages": user("A story?")}
    with client(stack, key["key"]) as api, client(stack) as others:
        stream = iter(api.chat.completions.create(**slow, stream=True))
        staying = iter(others.chat.completions.create(**slow, stream=True))
        next(stream)
        next(staying)
        whole = in_thread(lambda: api.chat.completions.create(**slow))
        suite.wait_busy(store, stack, 3)
        flask_keys(stack.env, "revoke", key["id"])
        with pytest.raises(openai.APIError, match="opens nothing") as cut:
            list(stream)
        assert cut.value.code == "bad_key"
        assert isinstance(whole(), openai.AuthenticationError)
        suite.wait_busy(store, stack, 1)
        assert next(staying).choices, "another key's is nobody else's matter"
    suite.wait_free(store, stack)


# ── operators ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_operators_see_chats_beside_battles_without_texts_and_cancel_them(stack: Stack, store: redis.Redis) -> None:
    with client(stack) as api:
        stream = iter(api.chat.completions.create(model="snail", messages=user(CANARY), stream=True))
        chat = next(stream).id
        suite.wait_busy(store, stack)
        assert suite.inspect(stack, "chats")[chat]["model"] == "snail"
        assert suite.inspect(stack, "battles") == {}
        active = suite.inspect(stack, "active")
        assert [task["id"] for task in active] == [chat]
        assert CANARY not in json.dumps(active)
        celery = [sys.executable, "-m", "celery", "-A", "worker", "control", "-t", "10", "-d", "worker@test"]
        subprocess.run(
            [*celery, "cancel", chat, "maintenance"],
            env={**os.environ, **stack.env},
            cwd=ROOT,
            check=True,
            capture_output=True,
        )
        with pytest.raises(openai.APIError, match="maintenance"):
            list(stream)
    suite.wait_free(store, stack)
    assert CANARY not in stack.logs()


# ── the notes' own lines, on the private listener, without a key ─────────────────────────────────────────────────


def curl(*arguments: str) -> str:
    return subprocess.run(["curl", "-sS", *arguments], check=True, capture_output=True, text=True, timeout=60).stdout


def test_the_notes_lines_work_as_they_are(stack: Stack) -> None:
    base = stack.private_url
    health = json.loads(curl(f"{base}/health"))
    assert health["status"] == "healthy"
    assert set(NOTES) <= set(health["available_models"])
    assert set(health["loaded_models"]) <= set(health["available_models"])
    listed = json.loads(curl(f"{base}/v1/models"))["data"]
    assert [{"id": m["id"], "object": m["object"]} for m in listed][:3] == [{"id": m, "object": "model"} for m in NOTES]
    line = ("-X", "POST", f"{base}/v1/chat/completions", "-H", "Content-Type: application/json", "-d")
    said = json.loads(curl(*line, TEST))
    assert said["choices"][0]["message"]["content"]
    streamed = curl("-N", *line, HELLO)
    assert len(re.findall(r"^data: \{", streamed, re.MULTILINE)) > 3
    assert streamed.rstrip().endswith("data: [DONE]")


def test_only_the_private_listener_is_open(stack: Stack) -> None:
    assert json.loads(curl(f"{stack.url}/v1/models"))["error"]["code"] == "key_needed"
    assert "loaded_models" not in json.loads(curl(f"{stack.url}/health"))
    with openai.OpenAI(base_url=f"{stack.private_url}/v1", api_key="EMPTY", max_retries=0) as api:
        assert api.chat.completions.create(model=NOTES[0], messages=user("hi")).choices[0].message.content


def test_another_sites_page_cannot_use_the_open_listener(stack: Stack) -> None:
    line = ("-H", "Origin: https://elsewhere.example", "-H", "Content-Type: application/json", "-d", TEST)
    assert json.loads(curl(f"{stack.private_url}/v1/chat/completions", *line))["error"]["code"] == "cross_origin"


# ── a worker that dies ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def frail(tmp_path: Path) -> Iterator[Stack]:
    """A stack whose worker may be killed."""
    (tmp_path / "echo.toml").write_text(entry("steady", tokens_per_s=20, length=80) + entry("other"))
    with private_redis(tmp_path) as url:
        env = {"ARENA_REDIS_URL": url, "ARENA_CATALOG": str(tmp_path / "echo.toml"), "ARENA_ADMIN_KEY": ADMIN_KEY}
        with arena(env, tmp_path) as made:
            yield made


@pytest.mark.long
def test_a_killed_worker_is_noticed_only_by_streams_that_had_begun(frail: Stack, tmp_path: Path) -> None:
    with redis.Redis.from_url(frail.env["ARENA_REDIS_URL"]) as store, client(frail) as api:
        create = api.chat.completions.create
        stream = iter(create(model="steady", messages=user("a"), stream=True))
        first = next(stream)
        whole = in_thread(lambda: create(model="steady", messages=user("b")))
        suite.wait_busy(store, frail, 2)
        assert store.exists(chats.meta_key(first.id))
        frail.worker.signal(signal.SIGKILL)
        frail.worker.wait(10)
        with running(celery_worker(frail.env, tmp_path, "second")) as _:
            wait_accepting(store, frail.web)
            with pytest.raises(openai.APIError, match=r"interrupted|could not finish"):
                list(stream)
            answer = whole()
            assert answer.choices[0].finish_reason == "stop"
            assert answer.usage.completion_tokens == 80
            wait_for("the engine to be free", lambda: not list(store.scan_iter("arena:chat:*:log")))
