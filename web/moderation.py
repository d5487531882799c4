"""Which prompts are not taken. Everything that would be put before a model goes through :func:`screen` first.

The judge is a function ``check(text) -> Verdict``: the built-in one, which knows a list of words and floods of a word,
or the one that ``ARENA_MODERATION`` names. A judge of one's own may ask a service: it runs on a thread and has
``ARENA_MODERATION_TIMEOUT_S``. Neither texts nor what a judge raises about them are ever logged.
"""

from __future__ import annotations

import functools
import importlib
import logging
import re
import unicodedata
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as Late
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from web.errors import ModerationUnavailable, PromptRefused
from web.settings import WebSettings

log = logging.getLogger(__name__)

AT_ONCE = 16
"""Prompts that a judge of one's own thinks about at the same time; further ones wait, within their time limit."""
_REASON = re.compile(r"[a-z0-9_]{1,40}")


@dataclass(frozen=True, slots=True)
class Verdict:
    """``reason``: a word of a closed set (``[a-z0-9_]``), told to the asker; empty when it is allowed."""

    allowed: bool
    reason: str = ""


Check = Callable[[str], Verdict]
ALLOW = Verdict(True)


class ModerationError(ValueError):
    """The settings name no usable judge."""


def screen(settings: WebSettings, *texts: str) -> None:
    """Raises PromptRefused when one of ``texts`` is refused, ModerationUnavailable when no verdict can be had."""
    if sum(map(len, texts)) > settings.moderation_max_chars:
        raise PromptRefused("The prompt is too long to be looked at.", reason="length")
    judge = judge_of(settings)
    for text in texts:
        verdict = judge(text) if not settings.moderation else _asked(judge, text, settings)
        if not verdict.allowed:
            reason = verdict.reason if _REASON.fullmatch(verdict.reason) else "refused"
            log.info("a prompt was refused: %s", reason)
            raise PromptRefused("This prompt is not taken here.", reason=reason)


def judge_of(settings: WebSettings) -> Check:
    """The judge these settings name. Raises ModerationError in a line that says what to change."""
    if settings.moderation:
        return _plugged(settings.moderation)
    return _built_in(settings.moderation_words, settings.moderation_repetition)


def _asked(judge: Check, text: str, settings: WebSettings) -> Verdict:
    try:
        verdict = _threads().submit(judge, text).result(settings.moderation_timeout_s)
        if isinstance(verdict, Verdict):
            return verdict
        why = "no Verdict"
    except Late:
        why = "too slow"
    except Exception as error:  # noqa: BLE001 (anybody's code; its message may hold the text)
        why = type(error).__name__
    log.error("the moderation function failed: %s", why)
    if settings.moderation_on_error == "closed":
        raise ModerationUnavailable(retry_after_s=10)
    return ALLOW


@functools.cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(AT_ONCE, thread_name_prefix="moderation")


@functools.cache
def _plugged(path: str) -> Check:
    module, _, name = path.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ModerationError(f"ARENA_MODERATION: {path!r} is no module:function ({error})") from None
    if not callable(found):
        raise ModerationError(f"ARENA_MODERATION: {path!r} cannot be called")
    return cast(Check, found)


# ── the built-in check ───────────────────────────────────────────────────────────────────────────────────────────


@functools.cache
def _built_in(words: Path | None, repetition: int) -> Check:
    try:
        terms = _terms(words.read_text(encoding="utf-8").splitlines()) if words else None
    except (OSError, UnicodeDecodeError) as error:
        raise ModerationError(f"ARENA_MODERATION_WORDS: cannot read {words}: {type(error).__name__}") from None

    def check(text: str) -> Verdict:
        plain = normal(text)
        if terms is not None and terms.search(plain):
            return Verdict(False, "words")
        if repetition and _run(plain) > repetition:
            return Verdict(False, "repetition")
        return ALLOW

    return check


def normal(text: str) -> str:
    """Without case, compatibility forms and invisible characters, so that spelling hides no word."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c for c in folded if unicodedata.category(c) != "Cf")


def _terms(lines: Iterable[str]) -> re.Pattern[str] | None:
    """One pattern of all lines: whole words, ``*`` at either end for any; ``#`` begins a comment."""
    found = []
    for line in lines:
        term = normal(line.partition("#")[0]).strip()
        words = r"\s+".join(re.escape(word) for word in term.strip("*").split())
        if words:
            before = "" if term.startswith("*") else r"(?<!\w)"
            found.append(before + words + ("" if term.endswith("*") else r"(?!\w)"))
    return re.compile("|".join(found)) if found else None


def _run(text: str) -> int:
    """How often one word, or one character, comes in a row at most."""
    return max(_longest(text.split()), _longest(text))


def _longest(things: Iterable[str]) -> int:
    most = count = 0
    last: str | None = None
    for thing in things:
        count = count + 1 if thing == last else 1
        last = thing
        most = max(most, count)
    return most
