"""Scalable drawings as text: elements with escaped attributes, and where the marks of an axis stand.

No element carries a ``style`` attribute, which a strict content security policy would refuse. How a drawing looks
without any style sheet is in presentation attributes (``fill``, ``stroke``), which a style sheet's rules override.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from html import escape

Value = str | float | int
_FONTS = "system-ui, DejaVu Sans, Liberation Sans, Noto Sans, Arial, Helvetica, sans-serif"
CHARACTER = 7.2
"""Width of a character of text, on average, at the drawings' size of 12."""
ROW, WIDTH, PAD = 24, 640, 8
"""Height of a row, width of a whole picture, and room around things."""
LABEL = 28
"""Most characters of a label."""


def tag(name: str, *inside: str, **attributes: Value | None) -> str:
    """An element; ``_`` in the names of attributes stands for ``-``, a last ``_`` for nothing; None leaves it out.

    What is ``inside`` is markup already; see :func:`text` for words.
    """
    said = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_plain(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{said}>{''.join(inside)}</{name}>" if inside else f"<{name}{said}/>"


def text(words: str, x: float, y: float, class_: str, **attributes: Value | None) -> str:
    """Words at a place, in the colour of the text around the drawing."""
    return tag("text", escape(words), class_=class_, x=x, y=y, font_size=12, fill="currentColor", **attributes)


def line(x1: float, y1: float, x2: float, y2: float, class_: str, **attributes: Value | None) -> str:
    """A line in the colour of the text around the drawing."""
    return tag("line", class_=class_, x1=x1, y1=y1, x2=x2, y2=y2, stroke="currentColor", **attributes)


def drawing(inside: Iterable[str], width: float, height: float, class_: str, title: str, *, file: bool = False) -> str:
    """The whole. ``file``: one that stands alone, on white and in black, whatever shows it."""
    ground = (tag("rect", class_="ground", width=width, height=height, fill="#fff"),) if file else ()
    return tag(
        "svg",
        tag("title", escape(title)),
        *ground,
        *inside,
        xmlns="http://www.w3.org/2000/svg",
        class_=class_,
        viewBox=f"0 0 {_plain(width)} {_plain(height)}",
        width=width,
        height=height,
        role="img",
        aria_label=title,
        font_family=_FONTS,
        color="#000" if file else None,
    )


def marks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers from ``low`` to ``high``, ``most`` of them or fewer: steps of 1, 2 or 5 times a power of ten."""
    span = high - low
    if not span > 0:
        return [low]
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(power * n for n in (1, 2, 5, 10) if span / (power * n) <= most)
    first = math.ceil(low / step - 1e-9)
    return [n * step for n in range(first, math.floor(high / step + 1e-9) + 1)]


def cut(words: str, most: int) -> str:
    """At most so many characters."""
    return words if len(words) <= most else words[: most - 1] + "…"


def scale(low: float, high: float, begin: float, end: float) -> Callable[[float], float]:
    """Where values from ``low`` to ``high`` stand between ``begin`` and ``end``."""
    span = (high - low) or 1.0
    return lambda value: round(begin + (value - low) / span * (end - begin), 2)


def margin(labels: Iterable[str]) -> float:
    """The room that the longest of ``labels`` needs beside a drawing."""
    longest = max((len(cut(label, LABEL)) for label in labels), default=0)
    return round(PAD * 2 + CHARACTER * longest)


def tooltip(words: str) -> str:
    """What the element around it says when pointed at."""
    return tag("title", escape(words, quote=False))


def _plain(value: Value) -> str:
    return f"{round(value, 2):g}" if isinstance(value, float) and abs(value) < 1e5 else str(value)
