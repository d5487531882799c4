"""The form of an answer in numbers, taken when it is stored: a later style-controlled ranking needs them, and they
outlive the text.
"""

from __future__ import annotations

import re

_HEADER = re.compile(r"^ {0,3}#{1,6} ", re.MULTILINE)
_LIST = re.compile(r"^[ \t]*(?:[-*+]|\d{1,3}[.)])[ \t]", re.MULTILINE)
_BOLD = re.compile(r"\*\*[^*\n]+\*\*|__[^_\n]+__")
_FENCE = re.compile(r"^ {0,3}(?:```|~~~)", re.MULTILINE)


def style(text: str) -> dict[str, int]:
    """Counts of characters, words, headers, list items, bold spans and code blocks. Linear in the text."""
    return {
        "characters": len(text),
        "words": len(text.split()),
        "headers": len(_HEADER.findall(text)),
        "list_items": len(_LIST.findall(text)),
        "bold": len(_BOLD.findall(text)),
        "code_blocks": (len(_FENCE.findall(text)) + 1) // 2,
    }
