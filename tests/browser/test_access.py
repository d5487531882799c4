"""No state of any page breaks the rules of WCAG 2.2 AA, in either theme, at any width."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from ops.states import STATES, Past, State, enter, live
from tests.browser.axe import violations
from tests.processes import Stack

VIEWS = [(scheme, width) for scheme in ("light", "dark") for width in (1440, 390, 320)]


@pytest.fixture(scope="module")
def past(chromium: Browser, echo_arena: Stack) -> Iterator[Past]:
    context = chromium.new_context()
    yield live(context.new_page(), echo_arena.url)
    context.close()


def wrong(chromium: Browser, url: str, past: Past, state: State, scheme: Any, width: int) -> list[str]:
    """What axe finds there, whether it scrolls sideways, and what the console says (a violated policy among it)."""
    view: Any = {"width": width, "height": 860}
    context = chromium.new_context(viewport=view, color_scheme=scheme, reduced_motion="reduce")
    context.set_default_timeout(30_000)
    said: list[str] = []
    context.on("console", lambda m: said.append(m.text) if m.type in ("error", "warning") else None)
    context.on("weberror", lambda e: said.append(str(e.error)))
    page = enter(context, state, url, past)
    broken = violations(page)
    if page.evaluate("() => document.documentElement.scrollWidth > innerWidth"):
        broken.append("it scrolls sideways")
    context.close()
    where = f"{state.name}, {scheme}, {width} px: "
    return [where + b for b in broken] + [
        where + text for text in said if not (state.noise and "Failed to load resource" in text)
    ]


def test_every_state_is_open_to_everybody_in_one_view_each(chromium: Browser, echo_arena: Stack, past: Past) -> None:
    found = []
    for state, (scheme, width) in zip(STATES, itertools.cycle(VIEWS), strict=False):
        found += wrong(chromium, echo_arena.url, past, state, scheme, width)
    assert found == []


@pytest.mark.long
@pytest.mark.parametrize(("scheme", "width"), VIEWS)
def test_every_state_is_open_to_everybody_in_every_view(
    chromium: Browser, echo_arena: Stack, past: Past, scheme: str, width: int
) -> None:
    found = []
    for state in STATES:
        found += wrong(chromium, echo_arena.url, past, state, scheme, width)
    assert found == []
