"""From a request's body to what the worker is asked: everything in it is either meant, or refused by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from web import moderation
from web.api.schemas.openai import ChatIn, ChatMessage
from web.arena.contenders import is_competing
from web.arena.excluded import models_out
from web.context import Arena
from web.errors import EmptyPrompt, InvalidBody, PromptRefused, PromptTooLong
from web.openai.refusals import ModelNotFound, UnsupportedParameter, UnsupportedValue
from worker.contract.catalog import ModelSpec
from worker.contract.jobs import Message, Sampling, SideJob

_ASKS_NOTHING: Mapping[str, tuple[Any, ...]] = {
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "logprobs": (False,),
    "tools": ([],),
    "tool_choice": ("none",),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "store": (False,),
    "service_tier": ("auto", "default"),
    "include_obfuscation": (False,),
    "annotations": ([],),
    "tool_calls": ([],),
}
"""Parameters we do not have, with the values at which that makes no difference. So does null, for any."""


def served(arena: Arena) -> list[ModelSpec]:
    """Models that answer here: the catalog's, but for those an operator took out."""
    out = arena.db.read(models_out)
    return [m for m in arena.catalog.models if m.id not in out]


def served_model(arena: Arena, model: str) -> ModelSpec:
    """Raises ModelNotFound."""
    spec = arena.catalog.get(model)
    if spec is None or not arena.db.read(lambda s: is_competing(s, arena.catalog, model)):
        raise ModelNotFound(f"There is no model {model[:64]!r} here; GET /v1/models lists them.", field="model")
    return spec


def side_of(arena: Arena, body: ChatIn) -> SideJob:
    """Raises UnsupportedParameter, UnsupportedValue, ModelNotFound, and the refusals of prompts."""
    _check_extras(body, "")
    if body.stream_options is not None and not body.stream:
        raise UnsupportedValue("stream_options is for streams: send stream true.", field="stream_options")
    spec = served_model(arena, body.model)
    messages = tuple(Message(m.role, _text(m)) for m in body.messages)
    sampling = _sampling(body)
    _check_words(arena, [m.content for m in messages], sampling.stop)
    return SideJob(spec.id, messages, sampling)


def _sampling(body: ChatIn) -> Sampling:
    most = {body.max_tokens, body.max_completion_tokens} - {None}
    if len(most) > 1:
        raise UnsupportedValue("max_tokens and max_completion_tokens differ; send one.", field="max_tokens")
    stop = (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())
    return Sampling(next(iter(most), None), body.temperature, body.top_p, body.seed, stop)


def _text(message: ChatMessage) -> str:
    if isinstance(message.content, str):
        return message.content
    return "\n".join(part.text for part in message.content)


def _check_extras(model: BaseModel, where: str) -> None:
    for name, value in (model.model_extra or {}).items():
        if value is None or any(value == nothing for nothing in _ASKS_NOTHING.get(name, ())):
            continue
        field = f"{where}{name}"[:100]
        raise UnsupportedParameter(f"{field}: this API does not have this parameter; leave it out.", field=field)
    for name, child in _children(model):
        _check_extras(child, f"{where}{name}.")


def _children(model: BaseModel) -> Iterator[tuple[str, BaseModel]]:
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield name, value
        elif isinstance(value, list):
            yield from ((f"{name}.{i}", v) for i, v in enumerate(value) if isinstance(v, BaseModel))


def _check_words(arena: Arena, texts: list[str], stops: tuple[str, ...]) -> None:
    settings = arena.settings
    length = sum(map(len, texts))
    if length > settings.v1_prompt_max_chars:
        raise PromptTooLong(
            f"The messages have {length} characters; the limit is {settings.v1_prompt_max_chars}.", field="messages"
        )
    if not any(text.strip() for text in texts):
        raise EmptyPrompt("The messages are empty.", field="messages")
    if any("\ud800" <= c <= "\udfff" for text in (*texts, *stops) for c in text):
        raise InvalidBody("messages: must be text without lone surrogates", field="messages")
    try:
        moderation.screen(settings, *texts)
    except PromptRefused as refused:
        refused.extra["field"] = "messages"
        raise
