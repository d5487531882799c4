"""The arena as a visitor meets it: a real browser, real processes, stand-in engines."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.processes import Stack

BATTLE_URL = re.compile(r"/battles/[A-Za-z0-9_-]{22}$")
COUNT = """window.lengths = [0];
new MutationObserver(() => {
  const length = document.querySelector(".side-a .prose")?.textContent.length ?? 0;
  if (length > window.lengths.at(-1)) window.lengths.push(length);
}).observe(document, { subtree: true, childList: true, characterData: true });"""
"""In every document of a page: how long A's answer was each time it had grown."""
TAKEN_UP = re.compile("since your vote|new on the board|unchanged")
"""What the reveal says once the board has counted the vote."""


def begin(page: Page, url: str, prompt: str) -> None:
    page.goto(url)
    page.get_by_label("Your prompt").fill(prompt)
    page.keyboard.press("Enter")
    expect(page).to_have_url(BATTLE_URL)


def texts(page: Page) -> list[str]:
    return [t.strip() for t in page.locator(".prose").all_text_contents()]


def whole(page: Page, answers: int = 2) -> list[str]:
    """What is said once so many answers are complete and drawn to their end."""
    expect(page.locator(".prose[data-whole]")).to_have_count(answers)
    return texts(page)


def test_a_prompt_streams_twice_is_judged_and_moves_the_leaderboard(page: Page, echo_arena: Stack) -> None:
    page.add_init_script(COUNT)
    begin(page, echo_arena.url, "Write a function that reverses a list.")
    expect(page.get_by_role("button", name="A is better")).to_be_enabled()
    said = whole(page)
    assert page.evaluate("() => window.lengths.length") > 3, "the text was seen growing"
    assert "Echo" not in page.content(), "no name before the vote"

    page.get_by_role("button", name="A is better").click()
    page.get_by_role("button", name="Count it now").click()
    expect(page.get_by_role("heading", name="You preferred A")).to_be_focused()
    expect(page.locator(".answer h2 a")).to_have_count(2)
    names = [re.sub(r"The arena itself$", "", n) for n in page.locator(".answer h2").all_text_contents()]
    assert all(name.startswith("Echo ") for name in names)
    assert texts(page) == said

    for side in ("a", "b"):
        expect(page.locator(f".side-{side} .facts")).to_contain_text(TAKEN_UP)
    page.get_by_role("link", name="Leaderboard").last.click()
    expect(page.locator("table.board")).to_contain_text(names[0])


def test_the_line_is_open_before_the_prompt_is_sent(page: Page, echo_arena: Stack) -> None:
    page.goto(echo_arena.url)
    with page.expect_websocket():
        page.get_by_label("Your prompt").press_sequentially("Why")
    opened: list[str] = []
    page.on("websocket", lambda socket: opened.append(socket.url))
    page.keyboard.press("Enter")
    expect(page.locator(".prose").first).not_to_be_empty()
    assert opened == [], "the line that was open is the one that is used"


def test_coming_back_mid_stream_shows_everything_once(page: Page, context: BrowserContext, echo_arena: Stack) -> None:
    begin(page, echo_arena.url, "Tell me a long story.")
    expect(page.locator(".prose").first).not_to_be_empty()
    address = page.url
    page.close()
    again = context.new_page()
    again.goto(address)
    expect(again.get_by_role("button", name="Tie")).to_be_enabled()
    resumed = whole(again)
    again.reload()
    assert whole(again) == resumed, "resumed in the middle or told at the end: the same text"
    told = again.evaluate("(path) => fetch('/api' + path).then((r) => r.json())", address.removeprefix(echo_arena.url))
    for text, side in zip(resumed, ("a", "b"), strict=True):
        last_words = told["turns"][0][side]["text"].split()[-4:]
        assert text.split()[-4:] == last_words
        assert text.count(" ".join(last_words)) == 1


def test_stop_ends_both_and_says_why_there_is_no_vote(page: Page, echo_arena: Stack) -> None:
    begin(page, echo_arena.url, "Go on and on.")
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("You stopped this battle, so it cannot be judged.")).to_be_visible()
    page.get_by_role("button", name="New battle").last.click()
    expect(page.get_by_label("Your prompt")).to_be_focused()
    expect(page).to_have_url(echo_arena.url + "/")


def test_an_example_is_borrowed_to_be_changed_and_escape_stops_what_came_of_it(page: Page, echo_arena: Stack) -> None:
    page.goto(echo_arena.url)
    example = page.get_by_role("button", name="palindrome in a string")
    prompt = page.get_by_label("Your prompt")
    example.click()
    expect(prompt).to_be_focused()
    expect(prompt).to_have_value("Write a Python function that finds the longest palindrome in a string.")
    page.keyboard.press("End")
    page.keyboard.type(" Test it.")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("in a string. Test it.")
    expect(page.get_by_role("button", name="Stop")).to_be_enabled()
    page.keyboard.press("Escape")
    expect(page.get_by_text("You stopped this battle, so it cannot be judged.")).to_be_visible()


def test_somebody_elses_battle_is_refused_in_words(chromium: Browser, page: Page, echo_arena: Stack) -> None:
    begin(page, echo_arena.url, "Mine.")
    stranger = chromium.new_context()
    other = stranger.new_page()
    other.goto(page.url)
    expect(other.get_by_role("heading", name="This battle cannot be shown")).to_be_visible()
    stranger.close()


def test_a_refused_prompt_stays_where_it_was_written(page: Page, complaints: list[str], echo_arena: Stack) -> None:
    page.goto(echo_arena.url)
    page.route("**/api/battles", lambda route: route.abort())
    page.get_by_label("Your prompt").fill("Keep me.")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("could not be reached")
    expect(page.get_by_label("Your prompt")).to_have_value("Keep me.")
    assert [c for c in complaints if "Failed to load resource" not in c] == []
    complaints.clear()


@pytest.mark.parametrize(("extra", "shown"), [(-1, "of 8,000 characters"), (1, "1 character too long")])
def test_the_limit_is_told_before_sending(page: Page, echo_arena: Stack, extra: int, shown: str) -> None:
    page.goto(echo_arena.url)
    page.get_by_label("Your prompt").fill("ä" * (8000 + extra))
    expect(page.locator("#prompt-count")).to_contain_text(shown)
    send = page.get_by_role("button", name="Start battle")
    expect(send).to_be_enabled() if extra < 0 else expect(send).to_be_disabled()
