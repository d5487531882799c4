"""A contender's voice on an engine: its system prompt, its template, its sampling and its stop strings.

One engine may speak for several contenders (adapters over its weights), so nothing here belongs to the engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from worker.contract.catalog import ModelSpec
from worker.contract.jobs import Message, Sampling
from worker.errors import PromptError


def template_of(tokenizer: Any, contender: ModelSpec, engine: ModelSpec) -> str | None:
    """The Jinja text that ``contender`` is prompted with; None when nobody has one."""
    found = contender.chat_template or engine.chat_template or getattr(tokenizer, "chat_template", None)
    return found or None


def turns_of(contender: ModelSpec, messages: Sequence[Message]) -> list[dict[str, str]]:
    """The messages as chat turns, led by the contender's system prompt unless they bring one."""
    turns = [{"role": m.role, "content": m.content} for m in messages]
    if contender.system_prompt and (not turns or turns[0]["role"] != "system"):
        turns.insert(0, {"role": "system", "content": contender.system_prompt})
    return turns


def prompt_tokens(tokenizer: Any, template: str, contender: ModelSpec, messages: Sequence[Message]) -> list[int]:
    """The messages as token ids, ready to be continued. Raises PromptError where the template refuses them."""
    from jinja2 import TemplateError

    turns = turns_of(contender, messages)
    try:
        ids = tokenizer.apply_chat_template(
            turns, chat_template=template, add_generation_prompt=True, tokenize=True, return_dict=False
        )
    except TemplateError as error:
        raise PromptError(f"{contender.id}: its chat template refuses these messages: {error}") from None
    return list(ids)


def sampling_params(contender: ModelSpec, asked: Sampling, room: int) -> Any:
    """vLLM's parameters: what the request asks for, else the catalog's; never more than ``room`` tokens."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    own = contender.sampling
    return SamplingParams(
        max_tokens=min(asked.max_tokens or contender.max_tokens, contender.max_tokens, room),
        temperature=own.temperature if asked.temperature is None else asked.temperature,
        top_p=own.top_p if asked.top_p is None else asked.top_p,
        min_p=own.min_p,
        repetition_penalty=own.repetition_penalty,
        seed=asked.seed,
        stop=[*contender.stop, *asked.stop] or None,
        output_kind=RequestOutputKind.DELTA,
    )


def as_input(tokens: list[int]) -> Any:
    """Token ids as the input vLLM wants."""
    try:
        from vllm.inputs.engine import tokens_input
    except ImportError:  # long ago a plain dictionary was the way
        return {"prompt_token_ids": tokens}
    return tokens_input(tokens)
