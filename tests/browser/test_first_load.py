"""What a page needs before it can be used: weighed on every page, and on a battle's with everything else held back."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Page, Response, Route, expect

from tests.browser.scripted import STARTED, WRITTEN, Script
from tests.processes import Stack
from web.assets import STATIC
from worker.contract import events as ev

SCRIPTS, STYLES = 35 * 1024, 12 * 1024
"""Bytes, compressed."""
ASKED = "() => [...document.querySelectorAll('script[src], link')].map((e) => e.src || e.href)"


@pytest.fixture
def sizes(page: Page) -> dict[str, int]:
    """What came so far, by address."""
    found: dict[str, int] = {}

    def weigh(response: Response) -> None:
        found[response.url] = int(response.headers.get("content-length", 0))

    page.on("response", weigh)
    return found


@pytest.fixture
def renderer() -> re.Pattern[str]:
    """The address of the part that only the Markdown renderer needs."""
    built = json.loads((STATIC / "manifest.json").read_text())["files"]
    return re.compile(re.escape("/static/" + built["renderer.js"]))


def heavy(sizes: dict[str, int], kind: str, among: list[str] | None = None) -> int:
    return sum(size for url, size in sizes.items() if url.endswith(kind) and (among is None or url in among))


@pytest.mark.parametrize("path", ["/", "/battles", "/leaderboard", "/about", "/notice", "/docs", "/operator"])
def test_what_a_document_asks_for_is_small(page: Page, sizes: dict[str, int], echo_arena: Stack, path: str) -> None:
    """On the arena's page the panes and the renderer come while the prompt is being written."""
    page.goto(echo_arena.url + path, wait_until="networkidle")
    first = page.evaluate(ASKED)
    assert heavy(sizes, ".js", first) <= SCRIPTS
    assert 0 < heavy(sizes, ".css", first) <= STYLES
    if path == "/":
        assert heavy(sizes, ".js", first) > 0


def test_a_battle_is_read_before_the_renderer_is_here_and_then_as_always(
    page: Page, sizes: dict[str, int], renderer: re.Pattern[str], echo_arena: Stack
) -> None:
    held: list[Route] = []
    page.route(renderer, lambda route: held.append(route))
    script = Script(page, echo_arena.url)
    script.open()
    script.tell(*STARTED, *WRITTEN[:2])
    plain = page.locator(".side-a .prose")
    expect(plain).to_contain_text("Assume *finitely* many.")
    assert 0 < heavy(sizes, ".js") <= SCRIPTS
    assert heavy(sizes, ".css") <= STYLES
    script.tell(*WRITTEN[2:], ev.BattleVotable())
    expect(page.get_by_role("button", name="Tie")).to_be_enabled()
    assert held, "it is asked for at once"
    held[0].continue_()
    expect(page.locator(".prose[data-whole]")).to_have_count(2)
    late = page.locator(".prose").evaluate_all("(all) => all.map((e) => e.textContent)")
    page.unroute(renderer)
    page.reload()
    expect(page.locator(".prose[data-whole]")).to_have_count(2)
    assert page.locator(".prose").evaluate_all("(all) => all.map((e) => e.textContent)") == late
    expect(page.locator(".side-a .prose em")).to_have_text("finitely")


def test_without_the_renderer_the_text_can_be_read_and_judged(
    page: Page, complaints: list[str], renderer: re.Pattern[str], echo_arena: Stack
) -> None:
    page.route(renderer, lambda route: route.abort())
    script = Script(page, echo_arena.url)
    script.open()
    script.tell(*STARTED, *WRITTEN, ev.BattleVotable())
    expect(page.locator(".side-a .prose")).to_contain_text("def sieve(n: int)")
    expect(page.get_by_role("button", name="Tie")).to_be_enabled()
    complaints.clear()
