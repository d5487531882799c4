"""A contender elsewhere streams, stops, counts and fails like an engine; its endpoint's words are never repeated."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from tests.openai_stub import Call, Stub, answer, delta, refuse, serving
from tests.processes import free_port
from worker.contract.catalog import ModelSpec, Remote, SamplingDefaults
from worker.contract.jobs import Message, Sampling
from worker.engines import EngineOrder, Piece, engine_factory
from worker.engines.remote import RemoteEngine
from worker.errors import ContextOverflow, EngineDied, EngineRefused, LoadError, PromptError, WorkerError

PROMPT, KEY = "whose cat is this", "sk-very-secret"
QUOTES = f"you sent {PROMPT!r} with {KEY}"


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as running:
        yield running


def entry(url: str, **fields: Any) -> ModelSpec:
    values: dict[str, Any] = {
        "id": "far",
        "name": "Far",
        "maker": "Elsewhere",
        "family": "far",
        "licence": "Proprietary",
        "engine": "remote",
        "remote": Remote(base_url=url, model="far-9000", api_key_env="FAR_KEY"),
    }
    return ModelSpec(**{**values, **fields})


def engine_of(url: str, *, silence_s: float = 60.0, env: dict[str, str] | None = None, **fields: Any) -> RemoteEngine:
    keys = {"FAR_KEY": KEY} if env is None else env
    return RemoteEngine(EngineOrder(entry(url, **fields), 0), keys, silence_s=silence_s)


def loaded(engine: RemoteEngine, work: Callable[[], Awaitable[Any]]) -> Any:
    async def go() -> Any:
        try:
            await engine.start()
            await engine.load()
            return await work()
        finally:
            await engine.unload()

    return asyncio.run(go())


def said(engine: RemoteEngine, sampling: Sampling = Sampling(), *before: Message) -> list[Piece]:  # noqa: B008
    async def work() -> list[Piece]:
        messages = (*before, Message("user", PROMPT))
        return [p async for p in engine.generate("1", messages, sampling)]

    found: list[Piece] = loaded(engine, work)
    return found


def failure(engine: RemoteEngine) -> tuple[WorkerError, list[str], bool]:
    """What an answer ended with, the texts before it, and whether the engine is alive after it."""

    async def work() -> tuple[WorkerError, list[str], bool]:
        texts: list[str] = []
        try:
            async for piece in engine.generate("1", (Message("user", PROMPT),), Sampling()):
                texts.append(piece.text)
        except WorkerError as error:
            return error, texts, engine.alive
        raise AssertionError(f"it answered: {texts}")

    error, texts, alive = loaded(engine, work)
    shown = f"{error} {error!r} {error.__cause__}"
    assert PROMPT not in shown
    assert KEY not in shown
    assert "\n" not in str(error)
    return error, texts, alive


# ── answers ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_answer_streams_and_ends_with_the_endpoints_own_counts(stub: Stub) -> None:
    pieces = said(engine_of(stub.url))
    assert [p.text for p in pieces] == ["Hello", " there", ""]
    assert [p.finish_reason for p in pieces] == [None, None, "stop"]
    assert (pieces[-1].completion_tokens, pieces[-1].prompt_tokens) == (5, 7)


@pytest.mark.parametrize(("finish", "reason"), [("length", "length"), ("stop", "stop"), ("content_filter", "stop")])
def test_how_it_ended_is_told_in_our_words(stub: Stub, finish: str, reason: str) -> None:
    stub.reply = answer("Hello", finish=finish)
    assert said(engine_of(stub.url))[-1].finish_reason == reason


def test_chunks_are_counted_where_the_endpoint_counts_nothing(stub: Stub) -> None:
    def reply(call: Call) -> None:
        call.begin()
        call.send(delta("one"), delta(" two"), delta(None), delta(" three", "stop"))
        call.end()

    stub.reply = reply
    pieces = said(engine_of(stub.url))
    assert [(p.text, p.completion_tokens) for p in pieces] == [("one", 1), (" two", 2), (" three", 3), ("", 3)]


def test_the_request_carries_the_entrys_prompt_and_sampling(stub: Stub) -> None:
    own = SamplingDefaults(temperature=0.3, top_p=0.8, min_p=0.1, repetition_penalty=1.1)
    engine = engine_of(stub.url, system_prompt="Be brief.", sampling=own, stop=("END",), max_tokens=40)
    said(engine, Sampling(max_tokens=500, temperature=0.0, seed=3, stop=("\n\n",)))
    call = stub.calls[0]
    assert call.authorization == f"Bearer {KEY}"
    assert call.body == {
        "model": "far-9000",
        "stream": True,
        "stream_options": {"include_usage": True},
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": PROMPT}],
        "max_tokens": 40,
        "temperature": 0.0,
        "top_p": 0.8,
        "min_p": 0.1,
        "repetition_penalty": 1.1,
        "seed": 3,
        "stop": ["END", "\n\n"],
    }


def test_what_the_entry_leaves_alone_is_not_sent_because_strict_endpoints_refuse_it(stub: Stub) -> None:
    said(engine_of(stub.url, system_prompt="Be brief."), Sampling(), Message("system", "Rhyme."))
    body = stub.calls[0].body
    assert not {"min_p", "repetition_penalty", "seed", "stop"} & set(body)
    assert [m["content"] for m in body["messages"]] == ["Rhyme.", PROMPT]


def test_an_endpoint_that_renamed_max_tokens_is_asked_again_in_its_words_and_remembered(stub: Stub) -> None:
    def reply(call: Call) -> None:
        if "max_tokens" in call.body:
            call.fail(400, {"error": {"message": QUOTES, "code": "unsupported_parameter", "param": "max_tokens"}})
        else:
            answer("Hello")(call)

    stub.reply = reply
    engine = engine_of(stub.url, max_tokens=9)

    async def work() -> list[Piece]:
        turns = (Message("user", PROMPT),)
        return [p for _ in "12" async for p in engine.generate("1", turns, Sampling())]

    assert [p.text for p in loaded(engine, work)] == ["Hello", "", "Hello", ""]
    assert [c.body.get("max_completion_tokens") for c in stub.calls] == [None, 9, 9]


def test_answers_one_after_the_other_share_a_connection(stub: Stub) -> None:
    engine = engine_of(stub.url)

    async def work() -> None:
        for _ in "123":
            texts = [p.text async for p in engine.generate("1", (Message("user", PROMPT),), Sampling())]
            assert texts == ["Hello", " there", ""]

    loaded(engine, work)
    assert len(stub.calls) == 3
    assert len({c.handler.client_address for c in stub.calls}) == 1


def test_an_endpoint_that_keeps_the_stream_open_after_its_end_holds_nobody_up(stub: Stub) -> None:
    def reply(call: Call) -> None:
        call.begin()
        call.send(delta("Hello", "stop"), "[DONE]")
        call.wait_until_gone()

    stub.reply = reply
    assert [p.finish_reason for p in said(engine_of(stub.url))] == [None, "stop"]
    assert stub.calls[0].gone.wait(20)


def test_closing_an_answer_closes_the_connection_and_nothing_else(stub: Stub) -> None:
    def reply(call: Call) -> None:
        call.begin()
        call.send(delta("Hello"))
        call.wait_until_gone()

    stub.reply = reply
    engine = engine_of(stub.url)

    async def work() -> bool:
        async with aclosing(engine.generate("1", (Message("user", PROMPT),), Sampling())) as pieces:
            assert (await anext(pieces)).text == "Hello"
        assert await asyncio.to_thread(stub.calls[0].gone.wait, 20)
        return engine.alive

    assert loaded(engine, work) is True


def test_cancelling_a_silent_answer_closes_its_connection(stub: Stub) -> None:
    asked = asyncio.Event()
    engine = engine_of(stub.url)

    async def work() -> bool:
        loop = asyncio.get_running_loop()

        def reply(call: Call) -> None:
            loop.call_soon_threadsafe(asked.set)
            call.wait_until_gone()

        stub.reply = reply
        pieces = engine.generate("1", (Message("user", PROMPT),), Sampling())
        waiting = asyncio.ensure_future(anext(pieces))
        await asked.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await asyncio.to_thread(stub.calls[0].gone.wait, 20)
        return engine.alive

    assert loaded(engine, work) is True


def test_many_answers_run_at_once(stub: Stub) -> None:
    engine = engine_of(stub.url)

    async def one(n: int) -> str:
        return "".join([p.text async for p in engine.generate(str(n), (Message("user", PROMPT),), Sampling())])

    async def work() -> list[str]:
        return await asyncio.gather(*(one(n) for n in range(40)))

    assert loaded(engine, work) == ["Hello there"] * 40


# ── endings that are none ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("before", [(), ("Hello",)])
def test_a_lost_connection_is_the_engines_death(stub: Stub, before: tuple[str, ...]) -> None:
    def reply(call: Call) -> None:
        if before:
            call.begin()
            call.send(*map(delta, before))
        call.hang_up()

    stub.reply = reply
    error, texts, alive = failure(engine_of(stub.url))
    assert isinstance(error, EngineDied)
    assert texts == list(before)
    assert not alive


def test_an_answer_that_breaks_off_without_an_end_is_not_taken_for_whole(stub: Stub) -> None:
    def reply(call: Call) -> None:
        call.begin_until_close()
        call.send(delta("Hello"), chunked=False)

    stub.reply = reply
    error, texts, alive = failure(engine_of(stub.url))
    assert isinstance(error, EngineDied)
    assert (texts, alive) == (["Hello"], False)


def test_an_answer_that_had_ended_stands_when_the_counts_are_lost(stub: Stub) -> None:
    def reply(call: Call) -> None:
        call.begin()
        call.send(delta("Hello"), delta(finish="stop"))
        call.hang_up()

    stub.reply = reply
    engine = engine_of(stub.url)
    assert [(p.text, p.completion_tokens, p.finish_reason) for p in said(engine)] == [
        ("Hello", 1, None),
        ("", 1, "stop"),
    ]


def test_counts_that_never_come_do_not_hold_a_finished_answer_back(stub: Stub) -> None:
    def reply(call: Call) -> None:
        call.begin()
        call.send(delta("Hello"), delta(finish="stop"))
        call.wait_until_gone()

    stub.reply = reply
    engine = RemoteEngine(EngineOrder(entry(stub.url), 0), {"FAR_KEY": KEY}, usage_s=0.05)
    assert said(engine)[-1].finish_reason == "stop"
    assert stub.calls[0].gone.wait(20)  # it was us who ended it


@pytest.mark.parametrize(("before", "limit_s"), [((), 0.2), (("Hello",), 2.0)])
def test_silence_beyond_the_limit_is_a_lost_connection(stub: Stub, before: tuple[str, ...], limit_s: float) -> None:
    def reply(call: Call) -> None:
        if before:
            call.begin()
            call.send(*map(delta, before))
        call.wait_until_gone()

    stub.reply = reply
    error, texts, alive = failure(engine_of(stub.url, silence_s=limit_s))
    assert isinstance(error, EngineDied)
    assert "silent" in str(error)
    assert (texts, alive) == (list(before), False)


def test_unloading_ends_what_still_streams(stub: Stub) -> None:
    def reply(call: Call) -> None:
        call.begin()
        call.send(delta("Hello"))
        call.wait_until_gone()

    stub.reply = reply
    engine = engine_of(stub.url)

    async def work() -> None:
        async with aclosing(engine.generate("1", (Message("user", PROMPT),), Sampling())) as pieces:
            await anext(pieces)
            await engine.unload()
            with pytest.raises(EngineDied):
                await asyncio.wait_for(anext(pieces), 20)
        assert not engine.alive
        with pytest.raises(EngineDied):
            await anext(engine.generate("2", (Message("user", PROMPT),), Sampling()))

    loaded(engine, work)


@pytest.mark.parametrize(
    ("status", "error", "kind", "says", "alive"),
    [
        (401, {"error": {"message": QUOTES, "code": "invalid_api_key"}}, EngineDied, "401 (invalid_api_key)", False),
        (404, {"error": {"message": QUOTES, "code": PROMPT}}, EngineDied, "404", False),
        (403, {"error": QUOTES}, EngineRefused, "403", True),
        (429, {"error": {"message": QUOTES, "code": "insufficient_quota"}}, EngineRefused, "insufficient_quota", True),
        (429, QUOTES, EngineRefused, "429", True),
        (500, {"error": {"message": QUOTES, "type": "server_error"}}, EngineRefused, "server_error", True),
        (503, "<html>down</html>", EngineRefused, "503", True),
        (302, "", EngineRefused, "302", True),
        (400, {"error": {"message": QUOTES, "type": "invalid_request_error"}}, PromptError, "invalid_request", True),
        (422, {"detail": [{"input": QUOTES}]}, PromptError, "422", True),
    ],
)
def test_a_refusal_is_typed_and_repeats_nothing(
    stub: Stub, status: int, error: object, kind: type[WorkerError], says: str, alive: bool
) -> None:
    stub.reply = refuse(status, error)
    raised, texts, lives = failure(engine_of(stub.url))
    assert type(raised) is kind
    assert says in str(raised)
    assert (texts, lives) == ([], alive)


@pytest.mark.parametrize(
    ("message", "prompt_tokens", "limit"),
    [
        (
            "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens.",
            9001,
            8192,
        ),
        ("the request exceeds the available context size (4096 tokens), try increasing it", 4096, 4096),
        ("Prompt is too long.", 2048, 2048),
    ],
)
@pytest.mark.parametrize("older", [True, False])
def test_a_prompt_beyond_the_context_is_a_context_overflow(
    stub: Stub, message: str, prompt_tokens: int, limit: int, older: bool
) -> None:
    said_so = {"message": message, "type": "BadRequestError", "code": 400}
    stub.reply = refuse(400, said_so if older else {"error": said_so})
    error, _, alive = failure(engine_of(stub.url))
    assert isinstance(error, ContextOverflow)
    assert (error.prompt_tokens, error.limit, alive) == (prompt_tokens, limit, True)


def test_an_error_within_the_stream_fails_that_answer_alone(stub: Stub) -> None:
    def reply(call: Call) -> None:
        call.begin()
        call.send(delta("Hello"), {"error": {"message": QUOTES, "code": 502}})
        call.end()

    stub.reply = reply
    error, texts, alive = failure(engine_of(stub.url))
    assert type(error) is EngineRefused
    assert (texts, alive) == (["Hello"], True)


@pytest.mark.parametrize("chunk", [f"{{{PROMPT}", "[1]", '{"choices": [{"delta": {"content": 3}}]}'])
def test_a_chunk_of_another_form_is_refused_without_being_quoted(stub: Stub, chunk: str) -> None:
    def reply(call: Call) -> None:
        call.begin()
        call.send(chunk)
        call.end()

    stub.reply = reply
    assert type(failure(engine_of(stub.url))[0]) is EngineRefused


def test_an_answer_that_is_no_stream_is_refused(stub: Stub) -> None:
    stub.reply = lambda call: call.fail(200, {"choices": [{"message": {"content": PROMPT}}]})
    assert type(failure(engine_of(stub.url))[0]) is EngineRefused


# ── life ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def cannot_load(engine: RemoteEngine) -> str:
    async def nothing() -> None:
        raise AssertionError("it loaded")

    with pytest.raises(LoadError) as caught:
        loaded(engine, nothing)
    assert not engine.alive
    assert KEY not in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("env", [{}, {"FAR_KEY": "  "}])
def test_a_key_that_is_not_set_is_named(stub: Stub, env: dict[str, str]) -> None:
    assert "FAR_KEY is not set" in cannot_load(engine_of(stub.url, env=env))
    assert stub.listings == []


def test_a_key_copied_with_its_line_break_still_works_and_a_broken_one_is_not_repeated(stub: Stub) -> None:
    said(engine_of(stub.url, env={"FAR_KEY": f"{KEY}\n"}))
    assert stub.listings == [f"Bearer {KEY}"]
    assert "FAR_KEY holds characters" in cannot_load(engine_of(stub.url, env={"FAR_KEY": f"{KEY}\n{KEY}é"}))


def test_an_endpoint_without_a_key_is_asked_without_one(stub: Stub) -> None:
    said(engine_of(stub.url, remote=Remote(base_url=f"{stub.url}/", model="far-9000"), env={}))
    assert stub.listings == [None]
    assert stub.calls[0].authorization is None


@pytest.mark.parametrize("status", [404, 405, 501])
def test_an_endpoint_that_lists_no_models_is_trusted(stub: Stub, status: int) -> None:
    stub.models = (status, "")
    assert said(engine_of(stub.url))[0].text == "Hello"


@pytest.mark.parametrize(
    ("models", "says"),
    [
        (["near-1", "near-2"], "set remote.model to one it has: near-1, near-2"),
        ([f"near-{n}" for n in range(9)], "and 4 more"),
        ([], "none now"),
        ((401, QUOTES), "check the key in FAR_KEY"),
        ((503, QUOTES), "answered 503"),
        ((200, "<html>"), "many end in /v1"),
        ((200, '{"data": [{}]}'), "many end in /v1"),
    ],
)
def test_an_endpoint_that_cannot_serve_the_model_does_not_load(stub: Stub, models: Any, says: str) -> None:
    stub.models = models
    assert says in cannot_load(engine_of(stub.url))


def test_an_endpoint_that_is_not_there_does_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    url = f"http://127.0.0.1:{free_port()}/v1"
    assert f"{url} cannot be reached" in cannot_load(engine_of(url))


def test_an_address_that_is_none_does_not_load() -> None:
    assert "no usable address" in cannot_load(engine_of("http://[::1/v1"))


def test_it_holds_nothing_sleeps_at_once_and_unloads_any_number_of_times(stub: Stub) -> None:
    engine = engine_of(stub.url)

    async def work() -> None:
        assert engine.held() is None
        await engine.sleep("l1")
        await engine.wake("l1")
        await engine.verify()
        assert engine.alive
        await engine.unload()
        await engine.unload()
        assert not engine.alive

    loaded(engine, work)


def test_the_factory_makes_it_of_a_remote_entry(tmp_path: Path) -> None:
    engine = engine_factory(tmp_path)(EngineOrder(entry("https://example.org/v1"), 0))
    assert isinstance(engine, RemoteEngine)
    assert KEY not in repr(engine)


def test_even_the_loudest_log_holds_neither_prompt_nor_key_nor_answer(
    stub: Stub, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        said(engine_of(stub.url))
        stub.reply = refuse(400, {"error": {"message": QUOTES}})
        failure(engine_of(stub.url))
    logged = "\n".join([r.getMessage() for r in caplog.records] + [repr(r.args) for r in caplog.records])
    assert "http" in logged
    assert not [secret for secret in (PROMPT, KEY, "there") if secret in logged]
