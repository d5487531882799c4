"""One chat on the real log with stand-in engines and actors: endings, retries, cancels, what its reader is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import redis

from tests.worker.conftest import spec
from tests.worker.stage import Stage, Theatre
from tests.worker.stage import on_stage as perform
from worker.chat import Chat
from worker.contract import chats
from worker.contract.catalog import Catalog
from worker.contract.chats import ChatDelta, ChatDone, ChatEvent, ChatFailed, ChatOver
from worker.contract.jobs import ChatJob, Message, Sampling, SideJob, decode_chat, encode_chat
from worker.engines.echo import EchoEngine
from worker.pool.pool import Pool
from worker.settings import WorkerSettings
from worker.stopping import HandedBack

CHAT = "chatcmpl-1"
CANARY = "canary-77aa"
FAST = {"tokens_per_s": 2000.0, "first_token_s": 0.0, "length": 40}
CATALOG = Catalog(
    (
        spec("ant", seed=1, **FAST),
        spec("slow", tokens_per_s=20.0, length=400),
        spec("broken", fail="load"),
        spec("mute", fail="start"),
        spec("frail", seed=3, lifespan=1, **FAST),
    )
)

pytestmark = pytest.mark.usefixtures("redis_client")


def job(model: str, *, stream: bool = True, deadline_s: float = 60, prompt: str = CANARY, **sampling: Any) -> ChatJob:
    side = SideJob(model, (Message("user", prompt),), Sampling(**sampling))
    return ChatJob(CHAT, side, time.time() + deadline_s, "s1", stream)


def chat(stage: Stage, chat_job: ChatJob) -> Chat:
    return Chat(chat_job, pool=stage.pool, redis=stage.redis, settings=stage.settings, stop=stage.stop)


def on_stage(redis_url: str, body: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
    return perform(lambda: Stage(redis_url, Pool(CATALOG, EchoEngine, capacity=2)), body)


def on_theatre(redis_url: str, body: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
    return perform(lambda: Theatre(redis_url, CATALOG), body)


def run(redis_url: str, chat_job: ChatJob) -> None:
    on_stage(redis_url, lambda stage: chat(stage, chat_job).run())


def told(client: redis.Redis) -> list[ChatEvent]:
    return [chats.decode(raw) for _, raw in chats.read(client, CHAT)[1]]


def text(events: list[ChatEvent]) -> str:
    return "".join(e.text for e in events if isinstance(e, ChatDelta))


async def until_told(stage: Stage) -> None:
    async with stage.redis.pubsub() as pubsub:
        await pubsub.subscribe(chats.channel_key(CHAT))
        while not await stage.redis.xlen(chats.log_key(CHAT)):
            await pubsub.get_message(ignore_subscribe_messages=True, timeout=1.0)


def test_a_stream_is_told_piece_by_piece_and_ends_with_its_counts(redis_url: str, redis_client: redis.Redis) -> None:
    run(redis_url, job("slow", max_tokens=12))
    events = told(redis_client)
    assert len(events) > 6
    assert events[-1] == ChatDone("length", 5, 12)
    assert len(text(events).split()) == 12


def test_without_a_stream_nothing_is_told_before_the_answer_is_complete(
    redis_url: str, redis_client: redis.Redis
) -> None:
    run(redis_url, job("ant", stream=False))
    delta, done = told(redis_client)
    assert isinstance(delta, ChatDelta)
    assert done == ChatDone("stop", 5, 40)


def test_a_stop_string_ends_the_answer_before_it(redis_url: str, redis_client: redis.Redis) -> None:
    run(redis_url, job("ant"))
    whole = text(told(redis_client))
    word = whole.split()[5]
    chats.close(redis_client, CHAT)
    redis_client.flushall()
    run(redis_url, job("ant", stop=(word,)))
    events = told(redis_client)
    assert text(events) == whole[: whole.index(word)]
    assert isinstance(events[-1], ChatDone)
    assert events[-1].finish_reason == "stop"


@pytest.mark.parametrize(
    ("model", "code"), [("broken", "load_failed"), ("mute", "engine_failed"), ("nobody", "load_failed")]
)
def test_a_model_that_cannot_answer_says_so(redis_url: str, redis_client: redis.Redis, model: str, code: str) -> None:
    run(redis_url, job(model))
    (failed,) = told(redis_client)
    assert isinstance(failed, ChatFailed)
    assert failed.error.code == code


def test_a_prompt_that_does_not_fit_is_its_callers_fault(redis_url: str, redis_client: redis.Redis) -> None:
    run(redis_url, job("ant", prompt="word " * 3000))
    (failed,) = told(redis_client)
    assert isinstance(failed, ChatFailed)
    assert (failed.error.code, failed.error.retryable) == ("context_overflow", False)


def test_an_engine_that_dies_midway_is_made_up_for_when_nobody_saw_it(
    redis_url: str, redis_client: redis.Redis
) -> None:
    async def body(stage: Theatre) -> None:
        running = asyncio.create_task(chat(stage, job("ant", stream=False)).run())
        first = await stage.cast.until_asked("ant")
        stage.cast.say("ant", "half an ")
        first.die()
        await stage.cast.until_asked("ant", 2)
        stage.cast.say("ant", "whole", end=True)
        await running

    on_theatre(redis_url, body)
    events = told(redis_client)
    assert text(events) == "whole"
    assert isinstance(events[-1], ChatDone)


def test_a_stream_whose_engine_dies_after_some_text_ends_with_the_failure(
    redis_url: str, redis_client: redis.Redis
) -> None:
    async def body(stage: Theatre) -> None:
        running = asyncio.create_task(chat(stage, job("ant")).run())
        engine = await stage.cast.until_asked("ant")
        stage.cast.say("ant", "half an ")
        await until_told(stage)
        engine.die()
        await running
        assert stage.leases == 0

    on_theatre(redis_url, body)
    delta, failed = told(redis_client)
    assert delta == ChatDelta("half an ")
    assert isinstance(failed, ChatFailed)
    assert failed.error.code == "engine_failed"


def test_an_engine_that_falls_silent_because_it_died_is_noticed(redis_url: str, redis_client: redis.Redis) -> None:
    async def body(stage: Theatre) -> None:
        running = asyncio.create_task(chat(stage, job("ant")).run())
        (await stage.cast.until_asked("ant")).die(silently=True)
        await stage.cast.until_asked("ant", 2)
        stage.cast.say("ant", "again", end=True)
        await running

    on_theatre(redis_url, body)
    assert text(told(redis_client)) == "again"


def test_a_cancel_gives_the_engine_back_and_tells_nobody(redis_url: str, redis_client: redis.Redis) -> None:
    async def body(stage: Theatre) -> None:
        running = asyncio.create_task(chat(stage, job("ant")).run())
        engine = await stage.cast.until_asked("ant")
        assert stage.leases == 1
        stage.stop.ask("user")
        await running
        assert stage.leases == 0
        assert engine.requests == []

    on_theatre(redis_url, body)
    assert told(redis_client) == []


def test_an_operators_cancel_is_told_with_its_reason(redis_url: str, redis_client: redis.Redis) -> None:
    async def body(stage: Theatre) -> None:
        running = asyncio.create_task(chat(stage, job("ant")).run())
        await stage.cast.until_asked("ant")
        stage.stop.ask("operator", "maintenance")
        await running

    on_theatre(redis_url, body)
    (failed,) = told(redis_client)
    assert isinstance(failed, ChatFailed)
    assert failed.error.code == "cancelled"
    assert "maintenance" in failed.error.message


def test_a_deadline_ends_an_answer_that_takes_too_long(redis_url: str, redis_client: redis.Redis) -> None:
    run(redis_url, job("slow", deadline_s=0.3))
    assert isinstance(failed := told(redis_client)[-1], ChatFailed)
    assert failed.error.code == "deadline_exceeded"


def test_a_shutdown_hands_back_what_nobody_has_seen(redis_url: str, redis_client: redis.Redis) -> None:
    async def body(stage: Theatre) -> None:
        running = asyncio.create_task(chat(stage, job("ant")).run())
        await stage.cast.until_asked("ant")
        stage.stop.ask("shutdown")
        with pytest.raises(HandedBack):
            await running

    on_theatre(redis_url, body)
    assert told(redis_client) == []


def test_a_shutdown_ends_a_stream_that_has_begun(redis_url: str, redis_client: redis.Redis) -> None:
    async def body(stage: Theatre) -> None:
        running = asyncio.create_task(chat(stage, job("ant")).run())
        await stage.cast.until_asked("ant")
        stage.cast.say("ant", "half an ")
        await until_told(stage)
        stage.stop.ask("shutdown")
        await running

    on_theatre(redis_url, body)
    assert isinstance(told(redis_client)[-1], ChatFailed)


def test_a_worker_that_took_over_fences_the_first(redis_url: str, redis_client: redis.Redis) -> None:
    async def body(stage: Theatre) -> None:
        first = asyncio.create_task(chat(stage, job("ant")).run())
        await stage.cast.until_asked("ant")
        assert (await chats.claim(stage.redis, CHAT)).attempt == 2
        stage.cast.say("ant", "from the past", end=True)
        with pytest.raises(ChatOver):
            await first
        assert stage.leases == 0

    on_theatre(redis_url, body)
    assert told(redis_client) == []


def test_a_redelivered_stream_that_was_begun_is_not_begun_anew(redis_url: str, redis_client: redis.Redis) -> None:
    async def body(stage: Stage) -> None:
        gone = await chats.claim(stage.redis, CHAT)
        await chats.publish(stage.redis, CHAT, [ChatDelta("half an ")], gone.attempt, 0)
        await chat(stage, job("ant")).run()

    on_stage(redis_url, body)
    assert isinstance(told(redis_client)[-1], ChatFailed)
    assert text(told(redis_client)) == "half an "


def test_too_many_attempts_are_given_up(redis_url: str, redis_client: redis.Redis) -> None:
    async def body(stage: Stage) -> None:
        stage.settings = WorkerSettings(max_attempts=2)
        for _ in range(2):
            await chats.claim(stage.redis, CHAT)
        await chat(stage, job("ant")).run()

    on_stage(redis_url, body)
    assert isinstance(told(redis_client)[-1], ChatFailed)


def test_nothing_is_written_to_a_closed_log(redis_url: str, redis_client: redis.Redis) -> None:
    async def body(stage: Theatre) -> None:
        running = asyncio.create_task(chat(stage, job("ant")).run())
        await stage.cast.until_asked("ant")
        chats.close(redis_client, CHAT)
        stage.cast.say("ant", "for nobody")
        with pytest.raises(ChatOver):
            await running
        assert stage.leases == 0
        with pytest.raises(ChatOver):
            await chat(stage, job("ant")).run()

    on_theatre(redis_url, body)
    assert told(redis_client) == []


def test_a_job_travels_whole_and_shows_no_words() -> None:
    made = job("ant", stop=(CANARY,), temperature=0.0)
    assert decode_chat(encode_chat(made)) == made
    assert CANARY not in repr(made)
    assert CANARY not in repr(ChatDelta(CANARY))
