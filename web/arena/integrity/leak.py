"""Whether an answer names its own model, or a prompt was out to make it.

Only the model's own words are looked for in its own answer (an answer that speaks of other models hides its own name
as well as any), whole words only: FastChat drops every vote in whose texts, the person's own too, one of 33 words is
any part of a word ("palm" in "palmistry").
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

_SHORTEST = 3
"""Shorter names are no evidence: "Yi" is a word of many languages."""
_SPACES = re.compile(r"[\s_-]+")
_ASKS = re.compile(
    r"\b(?:who|what) (?:exactly )?are you\b(?! (?:going|doing|trying|talking))"
    r"|\b(?:which|what)(?: \w+){0,4} (?:model|llm|ai|chatbot|version|company)\b[^.?!\n]{0,40}\b(?:you|your)\b"
    r"|\bwho (?:made|created|trained|built|developed|designed) you\b"
    r"|\b(?:what is|what's|tell me|say|state|reveal|repeat|print|your) (?:your |me your )?(?:real |own |model )?"
    r"(?:name|identity|system prompt|model name|knowledge cutoff)\b"
    r"|\bintroduce yourself\b|\bare you (?:an? )?(?:gpt|chatgpt|claude|gemini|llama|qwen|mistral|deepseek|grok)",
    re.IGNORECASE,
)


def named(text: str, words: Iterable[str]) -> list[str]:
    """Those of ``words`` that stand in ``text`` as whole words, in small letters and without spaces, longest first."""
    pattern = _pattern(tuple(words))
    found = {_SPACES.sub("", match.lower()) for match in pattern.findall(text)} if pattern else set()
    return sorted(found, key=lambda word: (-len(word), word))


def asks_identity(prompt: str) -> bool:
    """Whether a prompt asks the models who they are. English only; what they answer is looked at in any language."""
    return _ASKS.search(prompt) is not None


@lru_cache(maxsize=512)
def _pattern(words: tuple[str, ...]) -> re.Pattern[str] | None:
    """One expression for all; between the parts of a name any space or hyphen, or none, may stand."""
    forms = {_form(word) for word in words if sum(c.isalnum() for c in word) >= _SHORTEST}
    if not forms:
        return None
    longest_first = sorted(forms, key=lambda form: (-len(form), form))
    return re.compile(rf"(?<![^\W_])(?:{'|'.join(longest_first)})(?![^\W_])", re.IGNORECASE)


def _form(word: str) -> str:
    parts = [re.escape(part) for part in _SPACES.split(word) if part]
    return r"[\s_-]*".join(parts)
