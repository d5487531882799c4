"""No state of any page breaks the rules of WCAG 2.2 AA: in either theme, at any width, in German, in forced colours."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from ops.sites import Sites
from ops.sites import sites as all_sites
from ops.states import Past, State, enter
from tests.browser.axe import violations
from tests.processes import Stack

VIEWS = [(scheme, width) for scheme in ("light", "dark") for width in (1440, 390, 320)]
FORCED_WITHOUT = ("color-contrast",)
"""In forced colours the reader's own are painted, and axe still reckons with those of the style sheet for buttons: it
found #0f1115 on black where white on black stood (computed, and in the picture)."""
TAKES_LONG = {"docs"}
"""Eleven thousand elements; test_docs looks at them in every tier."""
WIDEST = ("named", "votable", "voted", "history", "shared", "board", "board-unfolded", "board-model")
"""Each kind of page with the most on it."""
WIDER = """() => Math.max(
  ...[...document.querySelectorAll("html, body, main, #arena, .battle")].map((e) => e.scrollWidth - innerWidth))"""
"""By how many pixels more than the window is wide; what scrolls within itself, such as a table, is not looked at."""


@pytest.fixture(scope="module")
def sites(chromium: Browser, echo_arena: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    with all_sites(chromium, echo_arena.url, tmp_path_factory.mktemp("boards")) as found:
        yield found


def wrong(
    chromium: Browser, sites: Sites, states: Iterable[tuple[str, State]], scheme: Any, width: int, **media: Any
) -> list[str]:
    """What is wrong with those states in one view: one visitor's window, in which each gets a tab without a past."""
    view: Any = {"width": width, "height": 860}
    context = chromium.new_context(viewport=view, color_scheme=scheme, reduced_motion="reduce", **media)
    context.set_default_timeout(30_000)
    told = ", ".join([f"{scheme}, {width} px", *(str(value) for value in media.values())])
    found = []
    for url, state in states:
        found += [f"{state.name}, {told}: {line}" for line in _wrong_with(context, url, state, sites.past)]
        context.clear_cookies()
    context.close()
    return found


def _wrong_with(context: BrowserContext, url: str, state: State, past: Past) -> list[str]:
    """What axe finds there, whether it scrolls sideways, and what the console says (a violated policy among it)."""
    said: list[str] = []
    context.once("page", lambda page: page.on("pageerror", lambda e: said.append(str(e))))
    context.once(
        "page",
        lambda page: page.on("console", lambda m: said.append(m.text) if m.type in ("error", "warning") else None),
    )
    page = enter(context, state, url, past)
    forced = page.evaluate("() => matchMedia('(forced-colors: active)').matches")
    found = violations(page, FORCED_WITHOUT if forced else ())
    if page.evaluate("() => document.documentElement.scrollWidth > innerWidth"):
        found.append("it scrolls sideways")
    page.close()
    return found + [text for text in said if not (state.noise and "Failed to load resource" in text)]


def shared_out(states: Sequence[tuple[str, State]]) -> Iterator[tuple[str, int, list[tuple[str, State]]]]:
    """Every state in one view, and every view with its share of them."""
    for n, (scheme, width) in enumerate(VIEWS):
        yield scheme, width, list(itertools.islice(states, n, None, len(VIEWS)))


def test_every_state_is_open_to_everybody_in_one_view_each(chromium: Browser, sites: Sites) -> None:
    states = [(url, state) for url, state in sites.states() if state.name not in TAKES_LONG]
    found = []
    for scheme, width, some in shared_out(states):
        found += wrong(chromium, sites, some, scheme, width)
    assert found == []


def test_every_document_is_open_to_everybody_in_german(chromium: Browser, sites: Sites) -> None:
    assert wrong(chromium, sites, sites.documents(), "dark", 320, locale="de-DE") == []


def test_a_picture_wider_than_a_phone_has_a_name_and_is_scrolled_with_the_keyboard(page: Page, sites: Sites) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(sites.full + "/leaderboard")
    wide = "(e) => e.scrollWidth > e.clientWidth"
    regions = page.locator(".scrolled:has(> svg)").all()
    assert len(regions) == 3
    for region in regions:
        assert region.evaluate(wide)
        name = region.get_attribute("aria-label") or ""
        assert name.startswith("Picture: ")
        page.get_by_role("region", name=name).focus()
        page.keyboard.press("End")
        page.keyboard.press("ArrowRight")
        page.wait_for_function("() => document.activeElement.scrollLeft > 0")


@pytest.mark.parametrize("height", [640, 256])
def test_no_page_scrolls_sideways_on_the_smallest_phone_and_at_400_per_cent(
    chromium: Browser, sites: Sites, height: int
) -> None:
    """320 by 256 is a screen of 1280 by 1024 at 400 %."""
    context = chromium.new_context(viewport={"width": 320, "height": height}, device_scale_factor=4)
    wide = {}
    for url, state in sites.states():
        if state.name not in WIDEST:
            continue
        page = enter(context, state, url, sites.past)
        wide[state.name] = page.evaluate(WIDER)
        page.close()
    context.close()
    assert wide == dict.fromkeys(WIDEST, 0)


@pytest.mark.long
@pytest.mark.parametrize(("scheme", "width"), VIEWS)
def test_every_state_is_open_to_everybody_in_every_view(
    chromium: Browser, sites: Sites, scheme: str, width: int
) -> None:
    assert wrong(chromium, sites, sites.states(), scheme, width) == []


@pytest.mark.long
@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 390)])
def test_every_document_is_open_to_everybody_in_german_in_other_views(
    chromium: Browser, sites: Sites, scheme: str, width: int
) -> None:
    assert wrong(chromium, sites, sites.documents(), scheme, width, locale="de-DE") == []


@pytest.mark.long
@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 390)])
def test_every_state_is_open_to_everybody_in_forced_colours(
    chromium: Browser, sites: Sites, scheme: str, width: int
) -> None:
    assert wrong(chromium, sites, sites.states(), scheme, width, forced_colors="active") == []
