"""The stand-in is deterministic and obeys the engine's contract."""

from __future__ import annotations

import asyncio

import pytest

from tests.worker.conftest import spec
from worker.contract.jobs import Message, Sampling
from worker.engines import EngineOrder, Piece
from worker.engines.echo import EchoEngine
from worker.errors import ContextOverflow, EngineDied, LoadError


def said(engine: EchoEngine, prompt: str, **sampling: int) -> list[Piece]:
    async def go() -> list[Piece]:
        await engine.load()
        return [p async for p in engine.generate("1", (Message("user", prompt),), Sampling(**sampling))]  # type: ignore[arg-type]

    return asyncio.run(go())


def fast(model: str = "ant", **echo: object) -> EchoEngine:
    return EchoEngine(EngineOrder(spec(model, tokens_per_s=10_000.0, first_token_s=0.0, **echo), 0))


def test_the_same_prompt_always_gets_the_same_answer() -> None:
    assert said(fast(seed=1), "why?") == said(fast(seed=1), "why?")
    assert said(fast(seed=1), "why?") != said(fast(seed=2), "why?")


def test_only_the_last_piece_has_a_finish_reason() -> None:
    pieces = said(fast(length=9), "why?")
    assert [p.finish_reason for p in pieces] == [None] * 8 + ["stop"]
    assert [p.completion_tokens for p in pieces] == list(range(1, 10))


def test_a_token_limit_cuts_and_says_length() -> None:
    pieces = said(fast(length=9), "why?", max_tokens=4)
    assert (len(pieces), pieces[-1].finish_reason) == (4, "length")


def test_the_script_opens_the_answer() -> None:
    text = "".join(p.text for p in said(fast(text="You asked: {prompt}\n\n", length=20), "why?"))
    assert text.startswith("You asked: why?\n")


def test_failures_come_where_the_script_puts_them() -> None:
    with pytest.raises(LoadError):
        said(fast(fail="load"), "why?")
    with pytest.raises(EngineDied):
        said(fast(fail="start"), "why?")
    with pytest.raises(EngineDied, match="midway"):
        said(fast(fail="midway"), "why?")


def test_a_prompt_longer_than_the_context_overflows() -> None:
    with pytest.raises(ContextOverflow):
        said(fast(), "word " * 4000)
