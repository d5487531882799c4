"""The operators' page before a real arena: sign in, see the work, press the buttons; for everybody, on any screen."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.axe import violations
from tests.processes import Stack, flask_keys


@pytest.fixture
def key(echo_arena: Stack) -> Any:
    return flask_keys(echo_arena.env, "create", "the night shift", "--scope", "admin")


def sign_in(page: Page, echo_arena: Stack, key: Any) -> None:
    page.goto(f"{echo_arena.url}/operator")
    page.get_by_label("An operator's key").fill(key["key"])
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Operator")).to_be_focused()
    expect(page.get_by_role("region", name="worker@test").get_by_role("heading", name="Engines")).to_be_visible()


def worker(page: Page) -> Any:
    return page.get_by_role("region", name="worker@test")


def engine(page: Page, model: str) -> Any:
    return (
        page.get_by_role("region", name="Engines")
        .get_by_role("row")
        .filter(has=page.get_by_role("rowheader", name=re.compile(model)))
    )


def rule(page: Page, button: str, reason: str) -> None:
    page.get_by_role("button", name=button, exact=True).click()
    dialog = page.get_by_role("dialog", name=button)
    dialog.get_by_label("Reason").fill(reason)
    dialog.get_by_role("button", name="Do it").click()
    expect(dialog).to_have_count(0)


def test_a_wrong_key_is_refused_in_words(page: Page, complaints: list[str], echo_arena: Stack) -> None:
    page.goto(f"{echo_arena.url}/operator")
    page.get_by_label("An operator's key").fill("arena_nonsense_nonsense")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("This key opens nothing")
    assert all("401" in c for c in complaints)
    complaints.clear()


def test_an_operator_sees_the_work_and_moves_an_engine(
    page: Page, complaints: list[str], context: BrowserContext, echo_arena: Stack, key: Any
) -> None:
    sign_in(page, echo_arena, key)
    assert key["key"].split("_")[2] not in json.dumps(page.evaluate("() => ({...localStorage, ...sessionStorage})"))
    (cookie,) = [c for c in context.cookies(f"{echo_arena.url}/api/admin") if c["name"] == "arena_operator"]
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/api/admin")
    expect(page.locator(".link")).to_have_text("Live")

    row = engine(page, "echo-bard")
    row.get_by_role("button", name=re.compile("^(Load|Unload) echo-bard")).click()
    expect(page.locator(".said")).to_contain_text(re.compile("echo-bard (will load|unloads)"))
    pinned = engine(page, "echo-swift")
    pinned.get_by_role("button", name="Pin echo-swift").click()
    expect(pinned.get_by_role("button", name="Unpin echo-swift")).to_be_visible()
    pinned.get_by_role("button", name="Unpin echo-swift").click()
    expect(pinned.get_by_role("button", name="Pin echo-swift")).to_be_visible()
    log = page.get_by_role("region", name="Audit log").get_by_role("row").filter(has_text="unpin")
    expect(log.first).to_contain_text(key["id"])

    visitor = context.new_page()
    visitor.goto(echo_arena.url)
    visitor.get_by_label("Your prompt").fill("Something an operator must not see: canary-5511")
    visitor.keyboard.press("Enter")
    expect(page.get_by_role("region", name="Battles here").get_by_role("row")).not_to_have_count(0)
    expect(visitor.get_by_role("button", name="A is better")).to_be_enabled()
    assert "canary-5511" not in page.content()
    visitor.get_by_role("button", name="A is better").click()
    visitor.get_by_role("button", name="Count it now").click()
    expect(visitor.get_by_role("heading", name="You preferred A")).to_be_visible()
    page.reload()
    row = page.get_by_role("region", name="Votes", exact=True).get_by_role("row").nth(1)
    number = row.get_by_role("rowheader").text_content()
    rule(page, f"Flag vote {number}", "a look at the buttons")
    expect(row).to_contain_text("no: flagged")
    rule(page, f"Unflag vote {number}", "seen")
    expect(row).not_to_contain_text("flagged")
    visitor.close()


def test_rulings_ask_for_a_reason_and_reach_every_open_page(
    page: Page, context: BrowserContext, echo_arena: Stack, key: Any
) -> None:
    sign_in(page, echo_arena, key)
    other = context.new_page()
    other.goto(f"{echo_arena.url}/operator")
    rows = other.get_by_role("region", name="Who takes part").get_by_role("row").filter(has_text="echo-coder")
    expect(rows.first).to_contain_text("yes")
    page.get_by_role("button", name="Disable echo-coder").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Reason")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    rule(page, "Disable echo-coder", "answers in rhymes")
    expect(rows.first).to_contain_text("answers in rhymes")
    rule(page, "Enable echo-coder", "fixed")
    expect(rows.first).to_contain_text("yes")
    other.close()


def test_revoking_the_key_ends_the_session_of_a_page_that_is_open(
    page: Page, complaints: list[str], echo_arena: Stack, key: Any
) -> None:
    sign_in(page, echo_arena, key)
    flask_keys(echo_arena.env, "revoke", key["id"])
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    assert "echo-sage" not in page.content()
    assert all("401" in c for c in complaints), complaints
    complaints.clear()


def board(name: str, resident: str, waiting: int, accepting: bool = True) -> str:
    """A worker's board as an event: ``resident`` is the engine it has in memory."""
    engine = {"leases": 1, "seats": 32, "loads": 1, "pinned": False, "reserved": "1 GiB"}
    engines = {m: {**engine, "state": "ready" if m == resident else "cold"} for m in ("ant", "bee")}
    ledger = {"budget": "8 GiB", "reserved": "1 GiB", "budget_bytes": 8, "reserved_bytes": 1}
    told = {
        "type": "worker",
        "worker": name,
        "at": 0.0,
        "accepting": accepting,
        "engines": {"capacity": 1, "running": 1, "waiting": waiting, "engines": engines},
        "queue": {"waiting": waiting, "oldest_s": 7.0, "line": []},
        "memory": {"device": None, "host": ledger},
        "battles": {},
        "chats": {},
        "operations": [],
        "throughput": {},
    }
    return f"data: {json.dumps(told)}\n\n"


def test_of_several_workers_each_is_seen_at_a_glance_and_one_that_dies_is_shown_dead(
    page: Page, echo_arena: Stack, key: Any
) -> None:
    """What the stream says is made up; what the page asks for is held back and looked at."""
    boards = {"one": board("one", "ant", 3), "two": board("two", "bee", 5), "three": board("three", "bee", 0, False)}
    asked: list[str] = []

    def answer(route: Any) -> None:
        asked.append(route.request.url.partition("/api/admin")[2])
        route.fulfill(json={"answers": [{"worker": "one", "ok": "takes no new battles"}]})

    def stream(route: Any) -> None:
        route.fulfill(content_type="text/event-stream", body="retry: 100\n\n" + "".join(boards.values()))

    page.clock.install()
    page.route("**/api/admin/events", stream)
    page.route(re.compile("/api/admin/(drain|resume)"), answer)
    page.goto(f"{echo_arena.url}/operator")
    page.get_by_label("An operator's key").fill(key["key"])
    page.get_by_role("button", name="Sign in").click()
    glance = page.get_by_role("region", name="All workers")
    rows = {name: glance.get_by_role("row").filter(has=page.get_by_role("rowheader", name=name)) for name in boards}
    expect(rows["one"]).to_contain_text(re.compile("takes battles.*ant.*1.*3.*7 s"))
    expect(rows["three"].get_by_role("button", name="Resume three")).to_be_enabled()
    rows["one"].get_by_role("button", name="Drain one").click()
    expect(page.locator(".said")).to_have_text("one: takes no new battles")
    assert asked == ["/drain?worker=one"]

    del boards["two"]
    with page.expect_request("**/api/admin/events"):
        """What was under way has been told."""
    page.clock.fast_forward(10_000)
    expect(rows["two"]).to_contain_text("silent for")
    expect(rows["two"]).not_to_contain_text("bee")
    expect(page.get_by_role("region", name="two", exact=True)).to_contain_text("below is what it last said")
    page.clock.fast_forward(60_000)
    expect(rows["two"]).to_contain_text("gone for")
    expect(rows["two"].get_by_role("button")).to_be_disabled()
    expect(page.get_by_role("region", name="two", exact=True)).to_have_count(0)
    expect(rows["one"]).to_contain_text("takes battles")


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_read_and_operate_it(
    page: Page, echo_arena: Stack, key: Any, scheme: Any, width: int, tmp_path: Path
) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 844})
    page.goto(f"{echo_arena.url}/operator")
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    assert violations(page) == []
    sign_in(page, echo_arena, key)
    expect(page.get_by_role("region", name="Audit log").get_by_role("row")).not_to_have_count(0)
    assert violations(page) == []
    assert page.evaluate("() => document.documentElement.scrollWidth - innerWidth") <= 0
    page.get_by_role("button", name="Time out echo-sage").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert violations(page) == []
