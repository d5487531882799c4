"""Votes that say the same thing again.

One voter asking the same pair the same thing twice has one opinion, not two. A prompt that very many ask weighs on
the board like no other: FastChat samples prompts above the 99.99th percentile down to it, here the first
``prompt_most`` votes on a prompt count (and never fewer than a hundredth of all).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable

_SHARE = 0.01


def prompt_limit(most: int, votes: int) -> int:
    """How many votes on one prompt count, of ``votes`` in all; 0: all of them."""
    return max(most, int(votes * _SHARE)) if most else 0


def repeated(keys: Iterable[Hashable | None], most: int) -> list[bool]:
    """For each key, oldest first, whether ``most`` or more equal ones came before it. None equals nothing."""
    seen: Counter[Hashable] = Counter()
    found = []
    for key in keys:
        found.append(key is not None and most > 0 and seen[key] >= most)
        if key is not None:
            seen[key] += 1
    return found
