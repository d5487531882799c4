"""The official OpenAI client against real vLLM and real models, through gunicorn, Celery, Redis and the pool."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
import redis

from tests import openai_suite as suite
from tests.openai_suite import ADMIN_KEY, client, user
from tests.processes import Stack, arena, free_port, wait_for
from tests.real import CPU_CATALOG, needs_models
from tests.redis_server import private_redis

pytestmark = [pytest.mark.real, needs_models]

MODEL = "smollm2-135m"
MANY_TOKENS = 1500
"""So many that no machine is done within a second."""
METRICS_PORT = free_port()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The small model alone is kept in memory, with room for a very long answer."""
    folder = Path(tmp_path_factory.mktemp("v1-real"))
    longer = re.sub(r"(?m)^max_tokens = .*$", f"max_tokens = {MANY_TOKENS}", CPU_CATALOG.read_text())
    (folder / "cpu.toml").write_text(longer)
    with private_redis(folder) as url:
        env = {
            "ARENA_REDIS_URL": url,
            "ARENA_CATALOG": str(folder / "cpu.toml"),
            "ARENA_ADMIN_KEY": ADMIN_KEY,
            "ARENA_PRELOAD": MODEL,
            "ARENA_METRICS_ADDRESS": f"127.0.0.1:{METRICS_PORT}",
        }
        with arena(env, folder, timeout=300) as made:
            yield made


@pytest.fixture
def store(stack: Stack) -> Iterator[redis.Redis]:
    found = redis.Redis.from_url(stack.env["ARENA_REDIS_URL"])
    yield found
    found.close()


@pytest.fixture
def _cancelled(stack: Stack) -> Iterator[None]:
    """What the test did has ended an answer before its end: the worker counted it so."""
    before = cancelled()
    yield
    wait_for("a cancelled answer", lambda: cancelled() == before + 1, process=stack.worker)


def cancelled() -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{METRICS_PORT}/metrics", timeout=10) as page:
        text = page.read().decode()
    found = re.search(r'arena_answers_total\{finish_reason="cancelled",[^}]*\} (\S+)', text)
    return float(found[1]) if found else 0.0


def test_it_chats_and_streams_the_same_greedy_answer(stack: Stack) -> None:
    suite.chats_and_streams_the_same(stack, MODEL)


def test_it_stops_where_it_is_told_to_and_counts_tokens(stack: Stack) -> None:
    with client(stack) as api:
        ask = api.chat.completions.create
        asked = "Write three sentences about the sea."
        whole = ask(model=MODEL, messages=user(asked), temperature=0, max_tokens=40).choices[0].message.content or ""
        word = next(w for w in re.findall(r"\w+", whole) if whole.index(w) > 8)
        cut = ask(model=MODEL, messages=user(asked), temperature=0, max_tokens=40, stop=[word])
        assert cut.choices[0].finish_reason == "stop"
        assert cut.choices[0].message.content == whole[: whole.index(word)]
        short = ask(model=MODEL, messages=user(asked), max_tokens=5)
        assert short.choices[0].finish_reason == "length"
        assert short.usage is not None
        assert short.usage.completion_tokens == 5
        assert short.usage.prompt_tokens > len(asked.split())


def test_what_does_not_fit_the_context_is_a_bad_request(stack: Stack) -> None:
    with client(stack) as api, pytest.raises(openai.BadRequestError) as caught:
        api.chat.completions.create(model=MODEL, messages=user(" ".join(f"word {n}" for n in range(2000))))
    assert caught.value.code == "context_length_exceeded"


def test_an_unknown_model_is_not_found(stack: Stack) -> None:
    with client(stack) as api, pytest.raises(openai.NotFoundError):
        api.chat.completions.create(model="gpt-4", messages=user("hi"))


def test_thirty_two_are_answered_at_once(stack: Stack) -> None:
    suite.answers_many_at_once(stack, [MODEL])


@pytest.mark.usefixtures("_cancelled")
def test_a_closed_stream_frees_the_engine(stack: Stack, store: redis.Redis) -> None:
    suite.frees_the_engine_when_a_stream_is_closed(stack, store, MODEL)


@pytest.mark.usefixtures("_cancelled")
def test_a_client_that_runs_out_of_time_frees_the_engine(stack: Stack, store: redis.Redis) -> None:
    suite.frees_the_engine_when_the_client_runs_out_of_time(stack, store, MODEL)


@pytest.mark.usefixtures("_cancelled")
def test_a_cut_connection_frees_the_engine(stack: Stack, store: redis.Redis) -> None:
    suite.frees_the_engine_when_a_connection_is_cut(stack, store, MODEL)
