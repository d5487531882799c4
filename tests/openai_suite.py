"""The official ``openai`` client against a running arena: the same checks on stand-ins and on real models."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import openai
import redis
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletionChunk

from tests.processes import ROOT, Stack, flask_keys, wait_for
from worker.contract import residency

ADMIN_KEY = "for tests only: every scope"


def new_key(stack: Stack, scope: str, *options: str) -> dict[str, str]:
    """``key``: what opens; ``id``: what operators call it."""
    made: dict[str, str] = flask_keys(stack.env, "create", "tests", "--scope", scope, *options)
    return made


@contextmanager
def client(stack: Stack, key: str = ADMIN_KEY, **options: Any) -> Iterator[OpenAI]:
    """The official client; it tries nothing again unless told to."""
    with OpenAI(base_url=f"{stack.url}/v1", api_key=key, **{"max_retries": 0, "timeout": 120, **options}) as made:
        yield made


def user(text: str) -> Any:
    """One message."""
    return [{"role": "user", "content": text}]


def worker_report(client: redis.Redis) -> residency.Residency:
    (report,) = residency.read(client)
    return report


def wait_busy(client: redis.Redis, stack: Stack, count: int = 1) -> None:
    """Until so many answers are being generated."""
    wait_for(f"{count} at work", lambda: worker_report(client).running == count, process=stack.worker)


def wait_free(client: redis.Redis, stack: Stack) -> None:
    """Until no engine has anything to do and nobody waits for one."""
    wait_for(
        "the engines to be free",
        lambda: (r := worker_report(client)).running == 0 and r.waiting == 0,
        process=stack.worker,
    )


def inspect(stack: Stack, command: str) -> Any:
    """What ``celery inspect`` says, of the one worker there is."""
    celery = [sys.executable, "-m", "celery", "-A", "worker", "inspect", "-j", "-t", "10", "-d", "worker@test", command]
    env = {**os.environ, **stack.env}
    said = subprocess.run(celery, env=env, cwd=ROOT, check=True, capture_output=True, text=True)
    (answer,) = json.loads(said.stdout).values()
    return answer


# ── what every arena can do ──────────────────────────────────────────────────────────────────────────────────────


def lists_models(stack: Stack, expected: list[str]) -> None:
    with client(stack) as api:
        assert [m.id for m in api.models.list()] == expected
        assert api.models.retrieve(expected[0]).object == "model"


def chats_and_streams_the_same(stack: Stack, model: str) -> None:
    with client(stack) as api:
        whole = api.chat.completions.create(
            model=model, messages=user("Name a colour."), max_tokens=24, temperature=0, seed=1
        )
        stream = api.chat.completions.create(
            model=model,
            messages=user("Name a colour."),
            max_tokens=24,
            temperature=0,
            seed=2,  # greedy: it changes nothing, except what a cache knows
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks: list[ChatCompletionChunk] = list(stream)
    assert whole.usage is not None
    assert 0 < whole.usage.completion_tokens <= 24
    assert chunks[0].choices[0].delta.role == "assistant"
    said = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert said
    assert said == whole.choices[0].message.content
    assert chunks[-2].choices[0].finish_reason == whole.choices[0].finish_reason
    assert chunks[-1].usage == whole.usage
    assert len(chunks) > 4


def answers_many_at_once(stack: Stack, models: list[str], count: int = 32, max_tokens: int = 16) -> None:
    async def ask(api: AsyncOpenAI, number: int) -> str:
        stream = await api.chat.completions.create(
            model=models[number % len(models)], messages=user(f"Number {number}?"), max_tokens=max_tokens, stream=True
        )
        ended, text = "", ""
        async for chunk in stream:
            text += chunk.choices[0].delta.content or ""
            ended = chunk.choices[0].finish_reason or ended
        assert ended in ("stop", "length")
        return text

    async def all_of_them() -> list[str]:
        async with AsyncOpenAI(base_url=f"{stack.url}/v1", api_key=ADMIN_KEY, max_retries=0, timeout=300) as api:
            return await asyncio.gather(*(ask(api, n) for n in range(count)))

    assert all(asyncio.run(all_of_them()))


def frees_the_engine_when_a_stream_is_closed(stack: Stack, redis_client: redis.Redis, model: str) -> None:
    with client(stack) as api:
        stream = api.chat.completions.create(model=model, messages=user("Write a very long story."), stream=True)
        next(iter(stream))
        wait_busy(redis_client, stack)
        stream.close()
        wait_free(redis_client, stack)


def frees_the_engine_when_the_client_runs_out_of_time(stack: Stack, redis_client: redis.Redis, model: str) -> None:
    with client(stack, timeout=1.0) as api:
        try:
            api.chat.completions.create(model=model, messages=user("Write a very long story."))
        except openai.APITimeoutError:
            wait_free(redis_client, stack)
            return
    raise AssertionError("it answered within a second: the test needs a slower model")


def frees_the_engine_when_a_connection_is_cut(stack: Stack, redis_client: redis.Redis, model: str) -> None:
    """Nothing is ever written to a caller who waits for the whole answer, so only looking tells."""
    body = json.dumps({"model": model, "messages": user("Write a very long story.")}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {ADMIN_KEY}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", stack.port)) as line:
        line.sendall(head.encode() + body)
        wait_busy(redis_client, stack)
    wait_free(redis_client, stack)


def measured_free_s(stack: Stack, redis_client: redis.Redis, model: str) -> float:
    """Seconds from hanging up until the worker itself says that nothing runs."""
    with client(stack) as api:
        stream = api.chat.completions.create(model=model, messages=user("Write a very long story."), stream=True)
        next(iter(stream))
        wait_busy(redis_client, stack)
        began = time.monotonic()
        stream.close()
        while worker_report(redis_client).running:
            time.sleep(0.005)
        return time.monotonic() - began
