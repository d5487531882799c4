# ruff: noqa: N818 - named for what happened, as the codes are
"""Refusals under ``/v1``: those that only occur there, and OpenAI's form for every one, whoever refuses.

``code`` is the arena's own, as everywhere; ``type`` is the nearest word of OpenAI's, and clients decide by status.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from flask import Flask, Response, g

from web.errors import ArenaError, Busy, NoWorker
from web.refusing import speak
from worker.contract.chats import ChatFailed

_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_BRANCH = re.compile(r"\.(?:constrained-str|str|list\[[^\]]*\])(?=\.|$)")
"""How pydantic names the alternatives of a field that may have two forms."""


class ModelNotFound(ArenaError):
    status, code, title = 404, "model_not_found", "There is no such model"


class UnsupportedParameter(ArenaError):
    """It would change the answer, and this API does not do it: better no answer than another one than was asked for."""

    status, code, title = 400, "unsupported_parameter", "This API does not have this parameter"


class UnsupportedValue(ArenaError):
    status, code, title = 400, "unsupported_value", "This API does not take this value"


class ContextLengthExceeded(ArenaError):
    status, code, title = 400, "context_length_exceeded", "The messages are too long for this model"


class MessagesRefused(ArenaError):
    status, code, title = 400, "messages_refused", "This model cannot be prompted with these messages"


class AnswerLost(NoWorker):
    """Its engine died, or its worker, and the answer could not be given anew."""

    code, title = "answer_lost", "The answer was lost on its way"


class AnswerCancelled(ArenaError):
    status, code, title = 503, "cancelled", "An operator stopped this answer"


class AnswerTooLate(ArenaError):
    status, code, title = 504, "deadline_exceeded", "The answer took too long"


def error_of(failed: ChatFailed) -> ArenaError:
    """A chat's failure as the refusal it is to its caller."""
    message = failed.error.message
    match failed.error.code:
        case "context_overflow":
            return ContextLengthExceeded(message, field="messages")
        case "messages_refused":
            return MessagesRefused(message, field="messages")
        case "overloaded":
            return Busy(message, retry_after_s=failed.retry_after_s or 10)
        case "load_failed" | "preempted":
            return NoWorker(message)
        case "engine_failed":
            return AnswerLost(message, retry_after_s=1)
        case "cancelled":
            return AnswerCancelled(message)
        case "deadline_exceeded":
            return AnswerTooLate(message)
    return ArenaError()


def body_of(error: ArenaError) -> dict[str, Any]:
    """``{"error": {message, type, param, code}}``."""
    kind = _TYPES.get(error.status) or ("invalid_request_error" if error.status < 500 else "server_error")
    field = error.extra.get("field") or None
    param = re.sub(r"\.(\d+)", r"[\1]", _BRANCH.sub("", field)) if field else None
    message = error.detail.replace(f"{field}: ", f"{param}: ", 1)
    return {"error": {"message": message, "type": kind, "param": param, "code": error.code}}


def _response(error: ArenaError) -> Response:
    g.refused = error.code
    body = msgspec.json.encode(body_of(error)) + b"\n"
    response = Response(body, error.status, content_type="application/json")
    response.headers.update(error.headers)
    return response


def init_app(app: Flask) -> None:
    """From here on what is refused under ``/v1`` is refused in OpenAI's form."""
    speak(app, "/v1/", _response)
