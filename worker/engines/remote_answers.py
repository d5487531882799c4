"""What an OpenAI-compatible endpoint says, read: its chunks as pieces, its refusals as our errors.

An endpoint may quote the prompt, and even the key, in what it says of an error. So nothing of that is ever repeated:
it is searched for sizes and for the few codes listed here.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, Literal

import msgspec

from worker.engines import Piece
from worker.errors import ContextOverflow, EngineDied, EngineRefused, PromptError, WorkerError

DONE = "[DONE]"
_CLOSING_S = 0.2
"""Longest wait for a stream's formal end, without which its connection cannot serve the next answer."""
_CODES = frozenset(
    {
        "content_policy_violation",
        "context_length_exceeded",
        "insufficient_quota",
        "invalid_api_key",
        "invalid_request_error",
        "model_not_found",
        "rate_limit_exceeded",
        "server_error",
        "unsupported_parameter",
        "unsupported_value",
    }
)
_TOO_LONG = re.compile(r"context[_ ](length|window|size)|prompt is too long|too many (input |prompt )?tokens", re.I)
_LIMIT = re.compile(r"(?:context[_ ](?:length|window|size)|maximum|limit)\D{0,40}?(\d{1,9})", re.I)


class _Delta(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: Any = None


class _Listed(msgspec.Struct):
    id: str


class _Models(msgspec.Struct):
    data: list[_Listed]


_chunk = msgspec.json.Decoder(_Chunk)
_models = msgspec.json.Decoder(_Models)


async def pieces(model: str, limit: int, events: AsyncIterator[str], usage_s: float) -> AsyncGenerator[Piece, None]:
    """Pieces from the data of server-sent ``events``; the last one waits at most ``usage_s`` for the token counts.

    Without those, chunks are counted. ``limit``: the entry's context, for errors that do not state the endpoint's.
    """
    done = False
    count = prompt_tokens = 0
    reason: Literal["stop", "length"] | None = None
    while True:
        try:
            async with asyncio.timeout(None if reason is None else usage_s):
                data = await anext(events)
        except StopAsyncIteration:
            if reason is None:
                raise EngineDied(model, "its endpoint broke off in the middle of an answer") from None
            break
        except (TimeoutError, EngineDied):
            if reason is None:
                raise
            break
        if done := data == DONE:
            break
        chunk = _read(model, data)
        if chunk.error is not None:
            raise refusal(model, limit, None, data.encode())
        text = ""
        for choice in (chunk.choices or [])[:1]:
            text = (choice.delta.content if choice.delta else None) or ""
            if choice.finish_reason:  # a filter's stop is a stop: naming it would tell what kind of contender this is
                reason = "length" if choice.finish_reason == "length" else "stop"
        count += bool(text)
        if chunk.usage is not None:
            count, prompt_tokens = chunk.usage.completion_tokens, chunk.usage.prompt_tokens
        if text:
            yield Piece(text, count, prompt_tokens)
    yield Piece("", count, prompt_tokens, reason or "stop")
    if done:
        with contextlib.suppress(StopAsyncIteration, TimeoutError, EngineDied):
            async with asyncio.timeout(_CLOSING_S):
                await anext(events)


def _read(model: str, data: str) -> _Chunk:
    try:
        return _chunk.decode(data)
    except msgspec.DecodeError:
        raise EngineRefused(model, "its endpoint sent a chunk of another form than OpenAI's") from None


def listed(content: bytes) -> list[str] | None:
    """The model names of a ``GET /models`` answer; None when it is no such answer."""
    try:
        return [m.id for m in _models.decode(content).data]
    except msgspec.DecodeError:
        return None


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────


def refusal(model: str, limit: int, status: int | None, content: bytes) -> WorkerError:
    """The error for an answer that is no answer; ``status`` is None for one that came within a stream."""
    error = _error_in(content)
    if status is None:
        status = _int(error.get("code")) or 500
    code = next((f" ({c})" for c in (error.get("code"), error.get("type")) if isinstance(c, str) and c in _CODES), "")
    message = str(error.get("message") or "")
    bad_request = status in (400, 413, 422)
    if error.get("code") == "context_length_exceeded" or (bad_request and _TOO_LONG.search(message)):
        return _overflow(message, limit)
    if bad_request:
        return PromptError(f"{model}: its endpoint refused the request: {status}{code}")
    if status == 401:
        return EngineDied(model, f"its endpoint no longer accepts the key: 401{code}")
    if status == 404:
        return EngineDied(model, f"its endpoint no longer has the model: 404{code}")
    what = "has too much to do" if status == 429 else "failed" if status >= 500 else "refused the request"
    return EngineRefused(model, f"its endpoint {what}: {status}{code}")


def wants_other_limit(status: int, content: bytes) -> bool:
    """Whether the request failed for ``max_tokens``, which newer models of OpenAI's call ``max_completion_tokens``."""
    return status == 400 and _error_in(content).get("param") == "max_tokens"


def _overflow(message: str, limit: int) -> ContextOverflow:
    stated = _LIMIT.search(message)
    limit = int(stated[1]) if stated else limit
    others = [n for n in map(int, re.findall(r"\d{1,9}", message)) if n != limit]
    return ContextOverflow(max(others, default=limit), limit)


def _error_in(content: bytes) -> dict[str, Any]:
    """The error object, whether it stands alone (as older vLLM has it) or under ``error``; empty when there is none."""
    try:
        body = msgspec.json.decode(content)
    except msgspec.DecodeError:
        return {}
    error = body.get("error", body) if isinstance(body, dict) else None
    return error if isinstance(error, dict) else {"message": error}


def _int(value: object) -> int | None:
    return int(value) if isinstance(value, int | str) and re.fullmatch(r"[1-5]\d\d", str(value)) else None
