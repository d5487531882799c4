"""What may be asked: a prompt's form, sampling within the stated limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from web.errors import CommentTooLong, EmptyPrompt, InvalidBody, PromptTooLong, SamplingRefused
from web.settings import WebSettings


def check_prompt(prompt: str, max_chars: int) -> str:
    """The prompt as it will be stored. Raises EmptyPrompt, PromptTooLong or InvalidBody."""
    if not prompt.strip():
        raise EmptyPrompt("Please write a prompt.", field="prompt")
    if len(prompt) > max_chars:
        raise PromptTooLong(
            f"The prompt has {len(prompt)} characters; the limit is {max_chars}.",
            field="prompt",
            limit=max_chars,
            length=len(prompt),
        )
    return stored_text(prompt, "prompt")


def check_comment(comment: str | None, max_chars: int) -> str | None:
    """The comment as it will be stored; None for an empty one. Raises CommentTooLong or InvalidBody."""
    if comment is None or not comment.strip():
        return None
    if len(comment) > max_chars:
        raise CommentTooLong(
            f"The comment has {len(comment)} characters; the limit is {max_chars}.",
            field="comment",
            limit=max_chars,
            length=len(comment),
        )
    return stored_text(comment, "comment")


def check_sampling(chosen: Mapping[str, Any] | None, settings: WebSettings) -> dict[str, Any] | None:
    """What was chosen, as it is stored with the battle; None when nothing was. Raises SamplingRefused, InvalidBody.

    The schema has bounded all but ``max_tokens``, whose limit is a setting.
    """
    given = {name: value for name, value in (chosen or {}).items() if value is not None and value != []}
    limit = min(settings.sampling_max_tokens, settings.max_tokens or settings.sampling_max_tokens)
    if given.get("max_tokens", 0) > limit:
        raise SamplingRefused(
            f"max_tokens: at most {limit} may be asked for.", field="sampling.max_tokens", limit=limit
        )
    for text in given.get("stop", ()):
        stored_text(text, "sampling.stop")
    if "stop" in given and settings.store_text == "never":
        raise SamplingRefused(
            "stop: this arena stores no texts, and these would have to be kept for later turns.", field="sampling.stop"
        )
    return given or None


def stored_text(text: str, what: str) -> str:
    """``text``, if a database can hold it: PostgreSQL refuses NUL, and nothing can encode half a surrogate pair.

    Raises InvalidBody naming the field ``what``.
    """
    if any(c == "\x00" or "\ud800" <= c <= "\udfff" for c in text):
        raise InvalidBody(f"{what}: must be text without NUL characters and lone surrogates", field=what)
    return text
