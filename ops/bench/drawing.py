"""What the benches ``render`` and ``duel`` share: an answer, and a page that draws it in both ways."""

from __future__ import annotations

import contextlib
import itertools
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ops import assets
from ops.browser import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Page

OTHER = "marked + DOMPurify + innerHTML over the whole text, each time"
STYLE = (
    "body { margin: 0; display: flex; font: 16px/1.6 sans-serif } pre { overflow-x: auto } p, li { max-width: 68ch } "
    ".pane { flex: 1; min-width: 0; height: 700px; overflow: auto; background: white }"
)
WORDS = [
    "the",
    "answer",
    "grows",
    "and",
    "`names`",
    "appear",
    "where",
    "**weight**",
    "is",
    "put",
    "on",
    "what",
    "a",
    "reader",
    "looks",
    "for",
    "first",
    "while",
    "*small*",
    "things",
    "stay",
    "quiet",
    "because",
    "nobody",
    "asked",
    "for",
    "them",
    "and",
    "every",
    "sentence",
    "ends",
    "somewhere",
]


def answer(chars: int, seed: int = 1) -> str:
    """Markdown of ``chars`` characters as models write it: paragraphs, headings, lists, tables, code."""
    rng = random.Random(seed)  # noqa: S311
    blocks = (_paragraph, _paragraph, _heading, _bullets, _paragraph, _code, _steps, _table)
    text = ""
    for block in itertools.cycle(blocks):
        if len(text) >= chars:
            return text[:chars]
        text += block(rng) + "\n\n"
    raise AssertionError("a cycle has no end")


def pieces(text: str, count: int) -> list[str]:
    """``text`` cut into ``count`` pieces of about the same length."""
    cuts = [len(text) * i // count for i in range(count + 1)]
    return [text[a:b] for a, b in itertools.pairwise(cuts)]


@contextlib.contextmanager
def page() -> Iterator[Page]:
    """A page that has ``window.drawing``. Without the arena's policy, under which the other could not run at all."""
    with tempfile.TemporaryDirectory(prefix="arena-bench-") as folder, chromium() as browser:
        script = Path(folder) / "page.js"
        assets.bundle_script(assets.UI / "bench" / "drawing.ts", script)
        opened = browser.new_page(viewport={"width": 1440, "height": 860})
        opened.set_default_timeout(0)
        opened.set_content(f"<!doctype html><style>{STYLE}</style><body></body>")
        opened.add_script_tag(path=script)
        yield opened


def _sentence(rng: random.Random) -> str:
    return " ".join(rng.choices(WORDS, k=rng.randint(8, 22))).capitalize() + "."


def _paragraph(rng: random.Random) -> str:
    return " ".join(_sentence(rng) for _ in range(rng.randint(2, 5)))


def _heading(rng: random.Random) -> str:
    return "## " + " ".join(rng.choices(WORDS, k=4))


def _bullets(rng: random.Random) -> str:
    return "\n".join(f"- {_sentence(rng)}" for _ in range(rng.randint(3, 7)))


def _steps(rng: random.Random) -> str:
    return "\n".join(f"{n}. {_sentence(rng)}\n   - {_sentence(rng)}" for n in range(1, rng.randint(3, 6)))


def _table(rng: random.Random) -> str:
    rows = [f"| {n} | {' '.join(rng.choices(WORDS, k=3))} | {rng.random():.3f} |" for n in range(rng.randint(3, 9))]
    return "\n".join(["| n | what | value |", "|---|:--|--:|", *rows])


def _code(rng: random.Random) -> str:
    lines = [f"    step_{n} = compute({rng.randint(0, 999)}, 'text')  # {n}" for n in range(rng.randint(6, 30))]
    return "\n".join(["```python", "def work():", *lines, "    return step_0", "```"])
