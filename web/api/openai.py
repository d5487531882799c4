"""``/v1``: the protocol that OpenAI's clients speak, over the same models, line and engines as battles."""

from __future__ import annotations

import secrets
import time
from typing import Any

from apiflask import APIBlueprint
from flask import Response, g, request

from web import openai
from web.access import current_key_id
from web.api.schemas.openai import ChatIn, ChatOut, ServedModel, ServedModels
from web.arena.lining import session_word
from web.bounds import accepts
from web.context import Arena, arena
from web.errors import Busy, EmptyPrompt, ModerationUnavailable, NoWorker, PromptRefused, PromptTooLong
from web.idempotency import holds_texts, takes
from web.openai import asking, door, refusals
from web.openai.answers import Answers
from web.openai.caller import Caller
from web.openai.wire import Form, model_object
from web.openapi import access, problems, speaks_openai
from web.openapi.general import header_refs
from web.settings import WebSettings
from worker.contract.jobs import ChatJob

LONGEST_S = 900
"""What was asked with an ``Idempotency-Key`` may be answered for so long before it may be asked again."""

bp = APIBlueprint("openai", __name__, url_prefix="/v1", tag="OpenAI")

_STREAM: Any = {
    "description": "The answer; with `stream` as server-sent events, each a `chat.completion.chunk`, then `[DONE]`",
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
    "headers": header_refs("X-Arena-Cache"),
}


@bp.before_request
def come_in() -> None:
    """Before a body is looked at."""
    g.caller = door.caller()


@bp.get("/models")
@bp.output(ServedModels)
@access(session=False, scope=door.SCOPE)
@speaks_openai
def models() -> dict[str, Any]:
    """The models that answer here."""
    context = arena()
    added = _added(context)
    return {"object": "list", "data": [model_object(spec, added) for spec in asking.served(context)]}


@bp.get("/models/<model>")
@bp.output(ServedModel)
@problems(refusals.ModelNotFound)
@access(session=False, scope=door.SCOPE)
@speaks_openai
def model(model: str) -> dict[str, Any]:
    """One of them."""
    context = arena()
    return model_object(asking.served_model(context, model), _added(context))


def _body_bytes(settings: WebSettings) -> int:
    """The longest messages in JSON's longest spelling, and some room."""
    return settings.v1_prompt_max_chars * 12 + 64 * 1024


@bp.post("/chat/completions")
@accepts(max_bytes=_body_bytes)
@takes(LONGEST_S)
@holds_texts
@bp.input(ChatIn, arg_name="body")
@bp.output(ChatOut)
@bp.doc(responses={200: _STREAM})
@problems(refusals.UnsupportedParameter, refusals.UnsupportedValue, refusals.ModelNotFound)
@problems(refusals.ContextLengthExceeded, refusals.MessagesRefused, EmptyPrompt, PromptTooLong, PromptRefused)
@problems(Busy, NoWorker, ModerationUnavailable)
@problems(refusals.AnswerLost, refusals.AnswerCancelled, refusals.AnswerTooLate)
@access(session=False, scope=door.SCOPE)
@speaks_openai
def complete(body: ChatIn) -> Response:
    """Have one model answer, all at once or, with `stream`, as the text is produced.

    Hanging up ends the generation, and so does revoking the key. Answers are not kept; where the operator allows it,
    one that was given at temperature 0 is given again to whoever asks exactly the same, and `X-Arena-Cache` says `hit`.
    """
    context = arena()
    side = asking.side_of(context, body)
    now = time.time()
    job = ChatJob(
        id=f"chatcmpl-{secrets.token_hex(12)}",
        side=side,
        deadline=now + context.settings.v1_deadline_s,
        session=session_word(context.settings.signing_key(), g.caller),
        stream=bool(body.stream),
    )
    counted = body.stream_options is not None and bool(body.stream_options.include_usage)
    form = Form(job.id, int(now), side.model, usage=counted)
    caller = Caller(request.environ, current_key_id())
    return Answers(context, openai.current_calls(), job, form, caller).reply()


def _added(context: Arena) -> int:
    """When the catalog was last written: the nearest there is to when its models came to be."""
    try:
        return int(context.settings.catalog.stat().st_mtime)
    except OSError:
        return 0
