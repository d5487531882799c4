"""A real Chromium: pages of the arena, and the island's modules on a page of their own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from ops import assets, browser
from tests.acceptance.conftest import echo_arena as echo_arena
from web.security import CSP

REPORT = """addEventListener("securitypolicyviolation", (e) =>
    console.error(`policy violated: ${e.violatedDirective} ${e.blockedURI} ${e.sample}`))"""
"""In every document of every page: a report that a browser would send, said aloud."""
HARNESS_URL = "http://harness.test/"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever lies in this folder needs Chromium."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """One browser for this folder: while it lives, Playwright keeps an asyncio loop running in the main thread, with
    which no later test could run its own. Skips where there is none, unless this is CI."""
    if browser.chromium_binary() is None:
        if os.environ.get("CI") == "true":
            pytest.fail(browser.MISSING)
        pytest.skip(browser.MISSING)
    with browser.chromium() as started:
        expect.set_options(timeout=30_000)  # a slow machine is not a failure; what never comes still is
        yield started


@pytest.fixture
def context(chromium: Browser, violated: list[str]) -> Iterator[BrowserContext]:
    """A visitor; none of whose pages may break the content security policy."""
    made = chromium.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    made.set_default_timeout(20_000)
    made.add_init_script(REPORT)
    made.on("console", lambda m: violated.append(m.text) if m.text.startswith("policy violated") else None)
    yield made
    made.close()
    assert violated == []


@pytest.fixture
def violated() -> list[str]:
    """What a browser would have reported of any page of the test's context."""
    return []


@pytest.fixture
def complaints() -> list[str]:
    """What the page's console and its uncaught errors said: a violated policy shows here."""
    return []


@pytest.fixture
def page(context: BrowserContext, complaints: list[str]) -> Iterator[Page]:
    """A page on which nothing may go wrong unseen."""
    made = context.new_page()
    made.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
    made.on("pageerror", lambda e: complaints.append(str(e)))
    yield made
    assert complaints == []


@pytest.fixture(scope="session")
def harness_script(tmp_path_factory: pytest.TempPathFactory) -> str:
    target = Path(tmp_path_factory.mktemp("harness")) / "harness.js"
    assets.bundle_script(Path(__file__).parent / "harness.ts", target)
    return target.read_text()


@pytest.fixture
def harness(page: Page, harness_script: str) -> Page:
    """A page under the arena's own policy with ``window.harness``; it can reach nothing else."""

    def serve(route: Route) -> None:
        if route.request.url == HARNESS_URL:
            body = '<!doctype html><meta charset="utf-8"><script src="/harness.js"></script><body>'
            route.fulfill(body=body, content_type="text/html", headers={"Content-Security-Policy": CSP})
        elif route.request.url == HARNESS_URL + "harness.js":
            route.fulfill(body=harness_script, content_type="text/javascript")
        else:
            route.fulfill(status=404)

    page.route("**/*", serve)
    page.goto(HARNESS_URL)
    return page


@pytest.fixture
def requested(page: Page) -> Callable[[], list[str]]:
    """Addresses the page has asked for so far."""
    seen: list[str] = []
    page.on("request", lambda r: seen.append(r.url))
    return lambda: list(seen)
