"""What speaks against one vote by itself or by the votes before it: leaks, haste, repetition. No numpy."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from web.arena.integrity.duplicates import prompt_limit, repeated
from web.arena.integrity.reading import needed_s
from web.arena.integrity.rules import DUPLICATE, LEAK, TOO_FAST, Rules


@dataclass(frozen=True, slots=True)
class Said:
    """What is known of a vote. ``voter``: one name for everything that is one session's; ``mark``: of its prompts."""

    voter: str
    pair: frozenset[str]
    mark: str | None
    evidence: Mapping[str, Any]


def by_itself(evidence: Mapping[str, Any], rules: Rules) -> set[str]:
    """Reasons that need no other vote."""
    found = set()
    if evidence.get("leak") and rules.leak == "exclude":
        found.add(LEAK)
    had = evidence.get("had_s")
    tokens: list[int] = evidence.get("tokens") or []
    if had is not None and len(tokens) == 2 and had < needed_s(tokens[0], tokens[1], rules.words_per_minute):
        found.add(TOO_FAST)
    return found


def reasons(votes: Sequence[Said], rules: Rules) -> list[set[str]]:
    """Of each vote, oldest first."""
    same: list[Hashable | None] = [None if v.mark is None else (v.voter, v.mark, v.pair) for v in votes]
    again = repeated(same, rules.repeats)
    crowd = repeated([v.mark for v in votes], prompt_limit(rules.prompt_most, len(votes)))
    return [
        by_itself(vote.evidence, rules) | ({DUPLICATE} if one or other else set())
        for vote, one, other in zip(votes, again, crowd, strict=True)
    ]
