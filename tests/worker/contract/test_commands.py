"""The command channel: one answer or none, and never a deed after it was given up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest
import redis
import redis.asyncio
from celery.worker.control import Panel

import worker.control
from worker.contract import commands
from worker.contract.commands import Answer, Command, Drain, Load, Request, Sleep

assert worker.control


@pytest.fixture
def serve(redis_url: str) -> Callable[[Callable[[Any], Coroutine[Any, Any, Any]]], Any]:
    """Run the worker's side with a client of its own."""

    def go(work: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
        async def run() -> Any:
            client = redis.asyncio.Redis.from_url(redis_url)
            try:
                return await work(client)
            finally:
                await client.aclose()

        return asyncio.run(run())

    return go


def test_a_request_is_taken_once_and_answered(redis_client: redis.Redis, serve: Any) -> None:
    made = commands.send(redis_client, "w", Request("k", Sleep("ant", "l2")))

    async def work(client: Any) -> Any:
        taken = await commands.take(client, "w", 1)
        await commands.answer(client, taken[0], Answer("w", {"ok": "sleeps"}))
        return taken, await commands.take(client, "w", 0.05)

    taken, nothing = serve(work)
    assert taken == (made, Request("k", Sleep("ant", "l2")))
    assert nothing is None
    assert commands.receive(redis_client, made, 1) == Answer("w", {"ok": "sleeps"})
    assert commands.withdraw(redis_client, made) is False


def test_what_was_withdrawn_is_never_taken(redis_client: redis.Redis, serve: Any) -> None:
    made = commands.send(redis_client, "w", Request("k", Drain()))
    assert commands.withdraw(redis_client, made) is True
    assert serve(lambda client: commands.take(client, "w", 0.05)) is None


def test_what_nobody_withdrew_lapses(redis_client: redis.Redis) -> None:
    made = commands.send(redis_client, "w", Request("k", Drain()), limit_s=1)
    assert 1000 < redis_client.pttl(f"arena:command:{made}") <= 6000
    assert commands.receive(redis_client, made, 0.05) is None


def test_commands_are_for_one_worker(redis_client: redis.Redis, serve: Any) -> None:
    commands.send(redis_client, "w", Request("k", Drain()))
    assert serve(lambda client: commands.take(client, "other", 0.05)) is None


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b'{"by":"k","command":{"command":"shutdown"}}',
        b'{"by":"k","command":{"command":"load"}}',
        b'{"by":"k","command":{"command":"load","model":1}}',
        b'{"by":"k","command":{"command":"sleep","model":"a","tier":"l9"}}',
        b'{"by":"k","command":{"command":"drain"},"more":1}',
    ],
)
def test_what_is_not_in_the_closed_set_is_refused(redis_client: redis.Redis, serve: Any, raw: bytes) -> None:
    made = commands.send(redis_client, "w", Request("k", Drain()))
    redis_client.set(f"arena:command:{made}", raw)
    with pytest.raises(commands.Malformed) as refused:
        serve(lambda client: commands.take(client, "w", 1))
    assert refused.value.id == made


def test_every_command_is_one_of_celerys_with_the_same_arguments() -> None:
    kinds: Any = Command.__args__  # type: ignore[attr-defined]
    for kind in kinds:
        name = kind.__struct_config__.tag
        taken = Panel.data[name].__code__.co_varnames
        assert {field.name for field in msgspec.structs.fields(kind)} <= set(taken), name
    assert commands.name_of(Load("ant")) == "load"
    assert json.loads(msgspec.json.encode(Load("ant"))) == {"command": "load", "model": "ant"}
