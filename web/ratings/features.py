"""What kind of battle it was, in a few values that outlive its words. Cheap, pure and without numpy: web runs it too.

Three detectors look at prompts. They are stated rules and not models, so that anybody can say why a battle is on a
board and the same text is on the same boards everywhere:

* language: by script where a script has one common language, else by common short words (a tiny form of Cavnar and
  Trenkle 1994); ``und`` when neither says enough.
* code: a fenced block, a line that can only be program text, or the name of a programming language or of a programmer's
  task (LMArena's board takes fences and keywords as well).
* math: notation (LaTeX, an equation between numbers) or at least one word of mathematics, or a word problem's question
  beside two numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from web.ratings.pii import kinds
from web.ratings.words import MATHEMATICS, PROGRAMMING, SCRIPTS, SHORT_WORDS, UKRAINIAN_ONLY

LONG_CHARS = 3000
"""Prompts of this many characters together are long: about FastChat's 768 tokens."""
_LOOKED_AT = 8000
"""Characters of a prompt the detectors read, for the language a quarter; more would only hold up who asked."""
STYLE = ("tokens", "headers", "list_items", "bold")
"""What style control knows of an answer: FastChat's four."""

_WORD = re.compile(r"[^\W\d_]+")
_FENCE = re.compile(r"^ {0,3}(?:```|~~~)", re.MULTILINE)
_PROGRAM_LINE = re.compile(
    r"^\s*(?:def \w+\(|class \w+[:({]|#include\s*<|import \w+(?:\.\w+)*;?\s*$|from \w[\w.]* import "
    r"|public (?:static )?\w+|(?:const|let|var) \w+ =|function \w*\(|SELECT\s.+\sFROM\s|</?(?:div|html|script|body)\b"
    r"|(?:\w+ )?\w+ = .*;\s*$|\w+\(.*\);\s*$|return .*;\s*$)",
    re.MULTILINE | re.IGNORECASE,
)
_PROGRAMMING = re.compile(rf"\b(?:{'|'.join(PROGRAMMING)})\b|\bc(?:\+\+|#)(?!\w)", re.IGNORECASE)
_NOTATION = re.compile(
    r"\\(?:frac|int|sum|sqrt|lim|begin\{(?:equation|align|matrix)|mathbb|cdot|leq|geq)(?![a-z])"
    r"|\$[^$\n]{1,200}[\\^_=][^$\n]{0,200}\$|\b[xyzn]\s*(?:\^|\*\*)\s*\d|\b[a-z]\([a-z]\)\s*="
    r"|\d\s*[-+*/×÷^]\s*\d+[^-\d/][^\n]{0,200}=|\b\d*[xyz]\s*[-+*/]\s*\d*[a-z]?\s*[=<>]|\|\s*[xyz]\s*[-+]\s*\d+\s*\|",
    re.IGNORECASE,
)
_MATHEMATICS = re.compile(rf"\b(?:{'|'.join(MATHEMATICS)})\b", re.IGNORECASE)
_QUESTION = re.compile(
    r"\bhow (?:many|much)\b|\bwhat(?:'s| is| was) the (?:total|average|sum|area|number)\b", re.IGNORECASE
)
_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")


@dataclass(frozen=True, slots=True)
class TurnFacts:
    """A prompt's length, and what :func:`of_prompt` said of it when it was asked (None: before there were features)."""

    prompt_chars: int
    features: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class AnswerFacts:
    """An answer's side, its ``ratings.style`` and its length in tokens."""

    side: str
    style: Mapping[str, int]
    tokens: int


def of_prompt(text: str) -> dict[str, Any]:
    """``language`` (ISO 639-1 or ``und``), ``code`` and ``math``, and ``pii``, what of somebody's data it
    seems to hold (see :mod:`web.ratings.pii`). Reads the text's first 8,000 characters.
    """
    head = text[:_LOOKED_AT]
    return {
        "language": language(head[: _LOOKED_AT // 4]),
        "code": is_code(head),
        "math": is_math(head),
        "pii": kinds([head]),
    }


def of_vote(probability: float, turns: Iterable[TurnFacts], answers: Iterable[AnswerFacts]) -> dict[str, Any]:
    """What a fit needs of a battle: ``probability``, ``boards``, and by side the sums of :data:`STYLE`."""
    style = {side: dict.fromkeys(STYLE, 0) for side in ("a", "b")}
    fenced = False
    for answer in answers:
        sums = style[answer.side]
        for name in STYLE:
            sums[name] += answer.tokens if name == "tokens" else int(answer.style.get(name, 0))
        fenced |= answer.style.get("code_blocks", 0) > 0
    return {"probability": probability, "boards": boards(list(turns), fenced=fenced), "style": style}


def boards(turns: list[TurnFacts], *, fenced: bool = False) -> list[str]:
    """Names of the boards a battle belongs to beside ``overall``, in the order of names.

    ``fenced``: an answer holds a block of code, which makes it code whatever the prompt looked like.
    """
    said = [turn.features for turn in turns if turn.features]
    found = {f"language_{said[0]['language']}"} if said else set()
    if fenced or any(features["code"] for features in said):
        found.add("code")
    if any(features["math"] for features in said):
        found.add("math")
    if sum(turn.prompt_chars for turn in turns) >= LONG_CHARS:
        found.add("long")
    if len(turns) > 1:
        found.add("multi_turn")
    return sorted(found)


def language(text: str) -> str:
    """ISO 639-1 of what most of the text is in, or ``und``."""
    letters = [c for c in text if c.isalpha()]
    if not letters:
        return "und"
    others = [c for c in letters if not c.isascii()]  # no script of SCRIPTS has any of ASCII's letters
    if not others:
        return _by_words(text)
    by_script = {code: _letters_of(ranges, others) for code, ranges in SCRIPTS}
    if by_script["ja"] * 10 >= by_script["ja"] + by_script["zh"] > 0 and by_script["ja"]:
        by_script["ja"] += by_script["zh"]  # Japanese is written with both
    code, most = max(by_script.items(), key=lambda item: item[1])
    if most * 2 > len(letters):
        return "uk" if code == "ru" and any(c in UKRAINIAN_ONLY for c in text) else code
    return _by_words(text)


def _letters_of(ranges: Iterable[tuple[str, str]], letters: list[str]) -> int:
    return sum(1 for c in letters if any(low <= c <= high for low, high in ranges))


def _by_words(text: str) -> str:
    words = [word.lower() for word in _WORD.findall(text)]
    hits = {code: sum(1 for word in words if word in short) for code, short in SHORT_WORDS.items()}
    code, most = max(hits.items(), key=lambda item: item[1])
    tied = sum(1 for n in hits.values() if n == most) > 1
    return code if most and not tied and most * 12 >= len(words) else "und"


def is_code(text: str) -> bool:
    """Whether a prompt is about programs."""
    return bool(_FENCE.search(text) or _PROGRAM_LINE.search(text) or _PROGRAMMING.search(text))


def is_math(text: str) -> bool:
    """Whether a prompt asks for mathematics."""
    if _NOTATION.search(text) or _MATHEMATICS.search(text):
        return True
    return bool(_QUESTION.search(text)) and len(_NUMBER.findall(text)) >= 2
