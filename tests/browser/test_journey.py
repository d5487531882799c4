"""Whole visits to a running arena: with the mouse, with the keyboard alone, in two tabs, through a lost line."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.test_arena import TAKEN_UP, begin, texts, whole
from tests.processes import ROOT, Stack, arena, celery_worker, running
from tests.redis_server import private_redis

SEEN = """
() => {
  const held = document.activeElement;
  if (!held || held === document.body) return "nothing has the focus";
  const name = `${held.tagName} ${held.id || held.className} ${(held.textContent ?? "").slice(0, 40)}`;
  const box = held.getBoundingClientRect();
  if (box.width < 2 || box.height < 2) return `${name} is too small to be seen`;
  if (box.bottom < 1 || box.top > innerHeight - 1) return `${name} is out of sight`;
  const marked = [held, held.closest(".composer"), held.closest(".asked")].filter(Boolean).some((e) => {
    const { outlineStyle, outlineWidth } = getComputedStyle(e);
    return outlineStyle !== "none" && parseFloat(outlineWidth) >= 1;
  });
  return marked ? "" : `${name} does not show that it has the focus`;
}
"""
"""What is wrong with where the focus is; nothing when it can be seen."""
FOCUSED = '() => { const e = document.activeElement; return (e?.textContent || e?.ariaLabel || "").trim(); }'


def vote(page: Page, name: str) -> Any:
    return page.get_by_role("group", name="Your vote").get_by_role("button", name=name)


def tab_to(page: Page, name: str, key: str = "Tab") -> None:
    """Go on with the keyboard until what is called ``name`` has the focus, which is to be seen at every step."""
    for _ in range(40):
        page.keyboard.press(key)
        assert page.evaluate(SEEN) == ""
        if name in page.evaluate(FOCUSED):
            return
    raise AssertionError(f"{name} cannot be reached with {key}")


def test_a_conversation_is_judged_explained_shared_and_deleted(
    page: Page, context: BrowserContext, chromium: Browser, echo_arena: Stack
) -> None:
    begin(page, echo_arena.url, "Name a colour.")
    expect(vote(page, "Tie")).to_be_enabled()
    first = whole(page)
    other = context.new_page()
    other.goto(page.url)
    expect(vote(other, "Tie")).to_be_enabled()

    page.bring_to_front()
    page.get_by_label("Ask both something more").fill("And a darker one?")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Ask both something more")).to_have_value("")
    expect(other.get_by_text("Turn 2", exact=True)).to_be_visible()
    expect(page.get_by_text("Turn 2", exact=True)).to_be_visible()
    expect(vote(other, "B is better")).to_be_enabled()
    expect(vote(page, "B is better")).to_be_enabled()
    both = whole(page, 4)
    assert [both[0], both[2]] == first, "what was said before stays"
    assert whole(other, 4) == both

    vote(page, "B is better").click()
    page.get_by_role("button", name="Undo").click()
    expect(vote(page, "B is better")).to_be_focused()
    vote(page, "A is better").click()
    page.get_by_role("button", name="Count it now").click()
    expect(page.get_by_role("heading", name="You preferred A")).to_be_focused()
    expect(other.get_by_role("heading", name="You preferred A")).to_be_visible()
    other.close()
    assert whole(page, 4) == both
    expect(page.locator(".facts").first).to_contain_text(TAKEN_UP)

    with page.expect_response(lambda r: r.request.method == "PATCH"):
        page.get_by_role("group", name="Answer A was").get_by_role("button", name="Creative").click()
    page.get_by_label("Comment").fill("Both named the same colour.")
    page.get_by_role("button", name="Save comment").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    page.reload()
    page.get_by_text("Say why").click()
    creative = page.get_by_role("group", name="Answer A was").get_by_role("button", name="Creative")
    expect(creative).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_label("Comment")).to_have_value("Both named the same colour.")

    page.get_by_role("button", name="Share").click()
    address = page.get_by_label("Anybody with this address can read the battle").input_value()
    plain = chromium.new_context(java_script_enabled=False)
    reader = plain.new_page()
    reader.goto(address)
    expect(reader.locator("main")).to_contain_text("And a darker one?")
    page.get_by_role("button", name="Stop sharing").click()
    expect(page.get_by_role("button", name="Share")).to_be_focused()
    gone = reader.goto(address)
    assert gone is not None
    assert gone.status == 404
    plain.close()

    page.get_by_role("link", name="My battles").first.click()
    row = page.get_by_role("listitem").filter(has_text="Name a colour.")
    expect(row).to_contain_text("You preferred A")
    expect(row).to_contain_text("2 turns")
    row.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Keep").press("Escape")
    expect(row.get_by_role("button", name="Delete")).to_be_focused()
    row.get_by_role("button", name="Delete").click()
    row.get_by_role("button", name="Yes, delete").click()
    expect(row).to_have_count(0)
    expect(page.get_by_role("heading", name="My battles")).to_be_focused()


def test_a_pair_of_ones_choosing_meets_and_does_not_count(page: Page, echo_arena: Stack) -> None:
    page.goto(echo_arena.url)
    page.get_by_text("Compare two models of your choice").click()
    one, other = page.get_by_label("One model"), page.get_by_label("The other model")
    expect(one.locator("option")).not_to_have_count(0)  # they come over the network, after the unfolding
    names = one.locator("option").all_text_contents()
    other.select_option(names[0])
    expect(one).to_have_value(one.locator("option").nth(1).get_attribute("value") or "")
    one.select_option(names[-1])
    page.get_by_label("Your prompt").fill("Which of you is shorter?")
    page.keyboard.press("Enter")
    expect(vote(page, "Tie")).to_be_enabled()
    assert not any(name in page.content() for name in names), "no name before the vote"
    page.keyboard.press("Alt+2")
    page.get_by_role("button", name="Count it now").click()
    expect(page.get_by_text("You chose the pair, so your vote does not move the leaderboard.")).to_be_visible()
    assert {page.locator(f".side-{s} h2 a").inner_text() for s in "ab"} == {names[0], names[-1]}
    page.get_by_role("button", name="New battle").last.click()
    expect(page.locator(".named select")).to_have_count(0)


def test_everything_can_be_done_with_the_keyboard_and_the_focus_is_always_seen(page: Page, echo_arena: Stack) -> None:
    page.goto(echo_arena.url)
    expect(page.get_by_label("Your prompt")).to_be_focused()
    assert page.evaluate(SEEN) == ""
    page.keyboard.type("Two lines,")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("one question?")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    assert page.evaluate(SEEN) == ""
    tab_to(page, "New battle")
    expect(vote(page, "Tie")).to_be_enabled()
    tab_to(page, "Tie")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Undo")).to_be_visible()
    assert "Tie" in page.evaluate(FOCUSED), "choosing moves nothing from under the fingers"
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Undo")).to_have_count(0)
    page.keyboard.press("Enter")
    tab_to(page, "Undo", "Shift+Tab")
    page.keyboard.press("Enter")
    expect(vote(page, "Tie")).to_be_focused()
    page.keyboard.press("Alt+4")
    tab_to(page, "Count it now", "Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="You preferred B")).to_be_focused()
    assert page.evaluate(SEEN) == ""
    tab_to(page, "Useful")
    tab_to(page, "Same prompt, two new models", "Shift+Tab")
    before = page.url
    page.keyboard.press("Enter")
    expect(page).not_to_have_url(before)
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    expect(page.get_by_role("heading", level=1)).to_contain_text("one question?")
    assert page.evaluate(SEEN) == ""

    expect(vote(page, "Tie")).to_be_enabled()
    path = page.url.removeprefix(echo_arena.url)
    page.keyboard.press("Alt+1")
    expect(page.get_by_role("button", name="Undo")).to_be_visible()
    page.goto(echo_arena.url + "/about")
    page.wait_for_function("(p) => fetch('/api' + p).then((r) => r.json()).then((b) => b.winner === 'a')", arg=path)


def test_without_a_network_nothing_is_lost(page: Page, context: BrowserContext, echo_arena: Stack) -> None:
    begin(page, echo_arena.url, "Go on while I am away.")
    expect(page.locator(".prose").first).not_to_be_empty()
    context.set_offline(True)
    expect(page.get_by_text("You are offline.")).to_be_visible()
    assert "".join(texts(page))
    context.set_offline(False)
    expect(page.get_by_text("You are offline.")).to_have_count(0)
    expect(vote(page, "Tie")).to_be_enabled()
    resumed = whole(page)
    page.reload()
    assert whole(page) == resumed


@pytest.mark.long
def test_a_worker_that_is_killed_costs_the_page_nothing(page: Page, tmp_path: Path) -> None:
    catalog = str(ROOT / "ops" / "catalogs" / "echo.toml")
    with private_redis(tmp_path) as url, arena({"ARENA_REDIS_URL": url, "ARENA_CATALOG": catalog}, tmp_path) as stack:
        begin(page, stack.url, "Tell me a long story.")
        expect(page.locator(".prose").first).not_to_be_empty()
        stack.worker.signal(signal.SIGKILL)
        with running(celery_worker(stack.env, tmp_path, "second")):
            expect(vote(page, "Tie")).to_be_enabled(timeout=180_000)
            said = whole(page)
            page.reload()
            assert whole(page) == said, "what the first attempt said is neither kept nor said twice"
