"""Votes of other arenas: FastChat's and LMArena's published rows, and our own exports.

FastChat's ``clean_battle`` files have ``model_a, model_b, winner, judge, turn, anony, language, tstamp`` and maybe
conversations; LMArena's data sets name the voter ``evaluation_session_id`` and the moment ``timestamp``. From
conversations only features are taken, never words.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from web.ratings.features import AnswerFacts, TurnFacts, of_prompt, of_vote
from web.ratings.style import style

WINNERS = {
    "model_a": "a", "model_b": "b", "tie": "tie", "tie (bothbad)": "both_bad", "both_bad": "both_bad",
    "bothbad": "both_bad",
}  # fmt: skip
LONGEST_NAME = 64
_LANGUAGES = {
    "english": "en", "german": "de", "french": "fr", "spanish": "es", "italian": "it", "portuguese": "pt",
    "dutch": "nl", "polish": "pl", "turkish": "tr", "swedish": "sv", "czech": "cs", "vietnamese": "vi",
    "indonesian": "id", "russian": "ru", "ukrainian": "uk", "chinese": "zh", "japanese": "ja", "korean": "ko",
    "arabic": "ar", "hebrew": "he", "hindi": "hi", "thai": "th", "greek": "el",
}  # fmt: skip
_VOTERS = ("judge", "judge_hash", "evaluation_session_id", "voter")
_SECONDS = 1e11
"""Larger moments are in milliseconds, as pandas writes them."""
_KEYS = ("question_id", "id", "vote")


@dataclass(frozen=True, slots=True)
class Imported:
    """A vote from elsewhere. ``key`` is the same whenever the same vote is read; ``voter`` is empty when not known."""

    key: str
    model_a: str
    model_b: str
    winner: str
    voter: str
    at: datetime | None
    turns: int
    counted: bool
    features: dict[str, Any]


def parse(row: Mapping[str, Any], line: int) -> Imported | None:
    """A row as a vote; None for battles that were not blind (``anony`` false). Raises ValueError with a reason.

    ``line`` tells rows apart that have no id of their own.
    """
    if str(row.get("anony", True)).lower() in ("false", "0"):
        return None
    a, b = _model(row, "model_a"), _model(row, "model_b")
    if a == b:
        raise ValueError("a model cannot meet itself")
    winner = row.get("winner")
    if not isinstance(winner, str) or winner not in WINNERS:
        raise ValueError(f"winner is {ascii(winner)[:40]}, not model_a, model_b, tie or tie (bothbad)")
    voter = next((str(row[name]) for name in _VOTERS if row.get(name) not in (None, "")), "")
    said = next((str(row[name]) for name in _KEYS if row.get(name) not in (None, "")), f"line {line}")
    key = hashlib.sha256("\x00".join((said, a, b, winner, voter)).encode(errors="replace")).hexdigest()[:32]
    turns = max(1, _number(row.get("turn", row.get("turns")), 1))
    counted = str(row.get("counted", True)).lower() not in ("false", "0")
    return Imported(key, a, b, WINNERS[winner], voter, _moment(row), turns, counted, _features(row, turns))


def _model(row: Mapping[str, Any], column: str) -> str:
    name = row.get(column)
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"{column} is {ascii(name)[:40]}, not a name")
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise ValueError(f"{column} has more than {LONGEST_NAME} characters, or some that cannot be printed")
    return name


def _moment(row: Mapping[str, Any]) -> datetime | None:
    value = row.get("tstamp", row.get("timestamp", row.get("day")))
    if value in (None, ""):
        return None
    try:
        moment = float(value)
        return datetime.fromtimestamp(moment if abs(moment) < _SECONDS else moment / 1000, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        pass
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f"the moment is {ascii(value)[:40]}, neither seconds nor ISO 8601") from None
    return found.replace(tzinfo=found.tzinfo or UTC).astimezone(UTC)


def _features(row: Mapping[str, Any], turns: int) -> dict[str, Any]:
    """As at home; from conversations where there are any, else from what the row says of itself."""
    conversations = {side: _messages(row.get(f"conversation_{side}")) for side in ("a", "b")}
    prompts = [text for role, text in conversations["a"] if role == "user"]
    facts = [TurnFacts(len(text), of_prompt(text)) for text in prompts]
    answers = [
        AnswerFacts(side, style(text), len(text.split()))
        for side, messages in conversations.items()
        for role, text in messages
        if role == "assistant"
    ]
    found = of_vote(math.nan, facts, answers)
    boards = set(found["boards"]) | set(_said_boards(row))
    if turns > 1:
        boards.add("multi_turn")
    kept: dict[str, Any] = {"boards": sorted(boards)}
    if facts:
        kept["pii"] = sorted({kind for turn in facts if turn.features for kind in turn.features["pii"]})
    said = _said_style(row)
    if said or answers:
        kept["style"] = said or found["style"]
    return kept


def _said_style(row: Mapping[str, Any]) -> dict[str, dict[str, int]] | None:
    """The counts that LMArena publishes beside the conversations: by a real tokenizer, where ours count words."""
    known = row.get("conv_metadata")
    if isinstance(known, str) and known.startswith("{"):  # a CSV's cell
        known = msgspec.json.decode(known)
    if not isinstance(known, Mapping) or not known.get("sum_assistant_a_tokens"):
        return None
    return {
        side: {
            "tokens": _sum(known.get(f"sum_assistant_{side}_tokens")),
            "headers": _sum(known.get(f"header_count_{side}")),
            "list_items": _sum(known.get(f"list_count_{side}")),
            "bold": _sum(known.get(f"bold_count_{side}")),
        }
        for side in ("a", "b")
    }


def _sum(counts: Any) -> int:
    """Of a number, or of numbers by kind."""
    return sum(_number(n, 0) for n in counts.values()) if isinstance(counts, Mapping) else _number(counts, 0)


def _said_boards(row: Mapping[str, Any]) -> list[str]:
    own = row.get("boards") or []
    boards = own.split() if isinstance(own, str) else [str(name) for name in own]
    language = _LANGUAGES.get(str(row.get("language", "")).lower())
    if language and not row.get("conversation_a"):
        boards.append(f"language_{language}")
    if str(row.get("is_code", "")).lower() in ("true", "1"):
        boards.append("code")
    tags = row.get("category_tag")
    maths = tags.get("math_v0.1") if isinstance(tags, Mapping) else None
    if isinstance(maths, Mapping) and maths.get("math") is True:
        boards.append("math")
    return [name for name in boards if name.isascii() and 0 < len(name) <= 40]


def _messages(value: Any) -> list[tuple[str, str]]:
    if isinstance(value, str) and value.startswith("["):  # a CSV's cell
        try:
            value = msgspec.json.decode(value)
        except msgspec.DecodeError:
            return []
    if not isinstance(value, Sequence) or isinstance(value, str):
        return []
    return [
        (str(message["role"]), text)
        for message in value
        if isinstance(message, Mapping) and "role" in message and (text := _text(message.get("content"))) is not None
    ]


def _text(content: Any) -> str | None:
    """A message's words: text, or the texts among LMArena's parts ``{"type": "text", "text": ...}``."""
    if isinstance(content, str):
        return content
    if not isinstance(content, Sequence):
        return None
    parts = [part["text"] for part in content if isinstance(part, Mapping) and isinstance(part.get("text"), str)]
    return "\n".join(parts) if parts else None


def _number(value: Any, default: int) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        return default
