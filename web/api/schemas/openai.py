"""Bodies of ``/v1``, as OpenAI's API has them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field


def _closed(schema: dict[str, Any]) -> None:
    """Whatever else is sent is refused, by name, unless it asks for nothing."""
    schema["additionalProperties"] = False


class _In(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True, json_schema_extra=_closed)


class TextPart(_In):
    type: Literal["text"]
    text: str


class ChatMessage(_In):
    role: Literal["system", "user", "assistant"]
    content: Annotated[str | list[TextPart], Field(description="Text, or parts of it, which are joined by line breaks")]


class StreamOptions(_In):
    include_usage: Annotated[bool | None, Field(description="A last chunk, without choices, has the token counts")] = (
        None
    )


StopString = Annotated[str, Field(min_length=1, max_length=200)]


class ChatIn(_In):
    """What changes the answer and is not here is refused by name (400), never ignored; null asks for nothing."""

    model: Annotated[str, Field(min_length=1, max_length=200, examples=["qwen-2.5-7b"])]
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=1000)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[
        int | None, Field(ge=1, le=2**31 - 1, description="Never more than the model's own limit, at which it ends")
    ] = None
    max_completion_tokens: Annotated[int | None, Field(ge=1, le=2**31 - 1, description="The newer name of it")] = None
    temperature: Annotated[float | None, Field(ge=0, le=2)] = None
    top_p: Annotated[float | None, Field(gt=0, le=1)] = None
    seed: Annotated[int | None, Field(ge=-(2**63), le=2**63 - 1)] = None
    stop: Annotated[StopString | Annotated[list[StopString], Field(max_length=4)] | None, Field()] = None
    n: Annotated[int | None, Field(ge=1, le=1)] = None
    user: Annotated[str | None, Field(max_length=512, description="Taken, not kept, and without effect")] = None


class Usage(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class AnswerMessage(BaseModel):
    role: Literal["assistant"]
    content: str
    refusal: None = None


class Choice(BaseModel):
    index: Literal[0]
    message: AnswerMessage
    logprobs: None = None
    finish_reason: Literal["stop", "length"]


class ChatOut(BaseModel):
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    system_fingerprint: None = None


class ServedModel(BaseModel):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ServedModels(BaseModel):
    object: Literal["list"]
    data: list[ServedModel]
