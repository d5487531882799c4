"""OpenAI's forms of an answer: one object, or chunks of it as server-sent events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from web.errors import ArenaError
from web.openai.refusals import body_of
from worker.contract.catalog import ModelSpec
from worker.contract.chats import ChatDone

END = b"data: [DONE]\n\n"
STILL_HERE = b": still here\n\n"


def model_object(spec: ModelSpec, created: int) -> dict[str, Any]:
    """One entry of ``GET /v1/models``. ``created``: unix seconds."""
    return {"id": spec.id, "object": "model", "created": created, "owned_by": spec.maker}


@dataclass(frozen=True, slots=True)
class Form:
    """What all parts of one answer have in common. ``usage``: a stream ends with its token counts."""

    id: str
    created: int
    model: str
    usage: bool = False

    def whole(self, text: str, done: ChatDone) -> dict[str, Any]:
        """The answer in one piece."""
        message = {"role": "assistant", "content": text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": done.finish_reason}
        return {**self._head("chat.completion"), "choices": [choice], "usage": _usage(done), "system_fingerprint": None}

    def first(self) -> bytes:
        """Who speaks."""
        return self._chunk({"role": "assistant", "content": ""})

    def more(self, text: str) -> bytes:
        """What is said."""
        return self._chunk({"content": text})

    def last(self, done: ChatDone) -> bytes:
        """How it ended, what it took if that was asked for, and that nothing follows."""
        ended = self._chunk({}, done.finish_reason)
        if self.usage:
            ended += _event({**self._head("chat.completion.chunk"), "choices": [], "usage": _usage(done)})
        return ended + END

    def _chunk(self, delta: dict[str, str], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        counted = {"usage": None} if self.usage else {}
        return _event({**self._head("chat.completion.chunk"), "choices": [choice], **counted})

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


def encode(body: dict[str, Any]) -> bytes:
    """As JSON."""
    return msgspec.json.encode(body)


def broken(error: ArenaError) -> bytes:
    """The end of a stream that failed."""
    return _event(body_of(error)) + END


def _usage(done: ChatDone) -> dict[str, int]:
    total = done.prompt_tokens + done.completion_tokens
    return {
        "prompt_tokens": done.prompt_tokens,
        "completion_tokens": done.completion_tokens,
        "total_tokens": total,
    }


def _event(body: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(body) + b"\n\n"
