"""What a page needs before it can be used: weighed on every page, and on a battle's with everything else held back."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Response, Route, expect

from tests.browser.scripted import BATTLE, PROMPT, STARTED, WRITTEN, Script
from tests.processes import Stack
from web.assets import STATIC
from worker.contract import events as ev

Part = Callable[[str], re.Pattern[str]]
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
def part() -> Part:
    """The address of a part that comes after the first: of the panes, or of the Markdown renderer."""
    built = json.loads((STATIC / "manifest.json").read_text())["files"]
    return lambda name: re.compile(re.escape("/static/" + built[name]))


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
    page: Page, sizes: dict[str, int], part: Part, echo_arena: Stack
) -> None:
    held: list[Route] = []
    page.route(part("renderer.js"), lambda route: held.append(route))
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
    page.unroute(part("renderer.js"))
    page.reload()
    expect(page.locator(".prose[data-whole]")).to_have_count(2)
    assert page.locator(".prose").evaluate_all("(all) => all.map((e) => e.textContent)") == late
    expect(page.locator(".side-a .prose em")).to_have_text("finitely")


def test_parts_that_do_not_come_are_asked_for_again_while_the_text_is_read_and_judged(
    page: Page, complaints: list[str], part: Part, echo_arena: Stack
) -> None:
    back = "() => dispatchEvent(new Event('online'))"
    for name in ("battle.js", "renderer.js"):
        page.route(part(name), lambda route: route.abort())
    script = Script(page, echo_arena.url)
    page.goto(f"{echo_arena.url}/battles/{BATTLE}")
    expect(page.get_by_role("status")).to_contain_text("Part of this page has not loaded yet.")
    page.unroute(part("battle.js"))
    page.evaluate(back)
    expect(page.get_by_text(PROMPT)).to_be_visible()
    script.tell(*STARTED, *WRITTEN, ev.BattleVotable())
    expect(page.locator(".side-a .prose")).to_contain_text("def sieve(n: int)")
    expect(page.get_by_role("button", name="Tie")).to_be_enabled()
    expect(page.get_by_text("Shown as plain text")).to_be_visible()
    page.unroute(part("renderer.js"))
    page.evaluate(back)
    expect(page.locator(".side-a .prose em")).to_have_text("finitely")
    expect(page.locator(".prose[data-whole]")).to_have_count(2)
    expect(page.get_by_text("Shown as plain text")).to_have_count(0)
    assert all("Failed to load resource" in said for said in complaints)
    complaints.clear()
