"""Whether a vote came sooner than anybody could have read.

People read 200 to 300 words a minute and skim at two or three times that (Rayner et al. 2016, "So much to read, so
little time"). The bound is far above: only the shorter of the two newest answers must have been read, and what a
glance takes in costs no time. The clock runs from the first text that was shown, for people read while it streams.
"""

from __future__ import annotations

GLANCE = 40
"""Words that are read at a glance."""
WORDS_PER_TOKEN = 0.75
"""Of English; other languages have fewer words to a token, which makes them look shorter only if they are not."""


def needed_s(tokens_a: int, tokens_b: int, words_per_minute: float) -> float:
    """The least time that reading the shorter of two answers takes; 0 for ``words_per_minute`` 0."""
    words = min(tokens_a, tokens_b) * WORDS_PER_TOKEN - GLANCE
    return max(0.0, words) * 60 / words_per_minute if words_per_minute > 0 else 0.0
