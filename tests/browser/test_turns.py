"""What the page asks of the server, and when: votes that can be undone, retries, further turns, one's own list."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.scripted import BATTLE, MODELS, PROMPT, STARTED, WRITTEN, Script
from tests.processes import Stack
from worker.contract import events as ev

ENTRY = {
    "id": "one",
    "url": "/battles/one",
    "created_at": "2026-11-23T20:00:00+00:00",
    "state": "finished",
    "votable": True,
    "turns": 1,
    "prompt": "Why is the sky blue?",
    "winner": None,
    "models": None,
    "ranked": True,
    "share_id": None,
}
FAILED = ev.Failure("engine_failed", "The model ran out of memory.", True)

Asked = Callable[[str, Any], list[tuple[Any, str | None]]]


@pytest.fixture
def script(page: Page, echo_arena: Stack) -> Script:
    made = Script(page, echo_arena.url)
    made.open()
    return made


@pytest.fixture
def timeless(page: Page, echo_arena: Stack) -> Script:
    """On a page where time passes only when the test lets it."""
    page.clock.install(time=0)
    made = Script(page, echo_arena.url)
    made.open()
    page.clock.pause_at(20)
    return made


@pytest.fixture
def asked(page: Page) -> Asked:
    """Answer a command with ``reply``; what was asked, and with which key, as it comes."""

    def answer(path: str, reply: Any) -> list[tuple[Any, str | None]]:
        seen: list[tuple[Any, str | None]] = []

        def take(route: Route) -> None:
            seen.append((route.request.post_data_json, route.request.headers.get("idempotency-key")))
            route.fulfill(json=reply, status=202)

        page.route(path, take)
        return seen

    return answer


def state(page: Page, name: str) -> None:
    expect(page.locator(f"[data-state={name}]")).to_be_visible()


def test_a_vote_leaves_the_page_only_when_it_can_no_longer_be_undone(
    page: Page, timeless: Script, asked: Asked
) -> None:
    facts = {side: {n: getattr(m, n) for n in m.__struct_fields__} for side, m in (("a", MODELS.a), ("b", MODELS.b))}
    votes = asked("**/vote", {"winner": "b", "models": facts})
    timeless.tell(*STARTED, *WRITTEN, ev.BattleVotable())
    state(page, "votable")
    page.keyboard.press("Alt+1")
    state(page, "choosing")
    page.clock.run_for(200)
    expect(page.get_by_role("status").last).to_have_text("A is better. It counts in 5 seconds; Escape undoes it.")
    page.clock.run_for(4_700)
    page.keyboard.press("Escape")
    state(page, "votable")
    page.clock.run_for(20_000)
    expect(page.get_by_role("status").last).to_have_text("Undone. You can vote.")
    page.keyboard.press("Alt+1")
    page.clock.run_for(3_000)
    page.keyboard.press("Alt+4")
    page.clock.run_for(4_900)
    assert votes == []
    page.clock.run_for(200)
    state(page, "voted")
    assert [body for body, _ in votes] == [{"winner": "b"}]
    assert votes[0][1]


def test_a_vote_cast_elsewhere_overtakes_one_that_waits(page: Page, timeless: Script, asked: Asked) -> None:
    votes = asked("**/vote", {})
    timeless.tell(*STARTED, *WRITTEN, ev.BattleVotable())
    state(page, "votable")
    page.keyboard.press("Alt+1")
    state(page, "choosing")
    timeless.tell(ev.BattleVoted(winner="tie"), ev.BattleRevealed(models=MODELS))
    state(page, "voted")
    page.clock.run_for(20_000)
    expect(page.get_by_role("heading", name="You called it a tie")).to_be_focused()
    assert votes == []


def test_a_side_that_failed_is_tried_alone_and_both_when_both_must(page: Page, script: Script, asked: Asked) -> None:
    retries = asked("**/retry", {"id": BATTLE, "url": "", "turn": 1, "retry": 1})
    script.tell(*STARTED, *WRITTEN[:3], ev.SideFailed("b", FAILED), ev.BattleFailed(FAILED))
    state(page, "void")
    with page.expect_response("**/retry"):
        page.get_by_role("button", name="Let B answer again").click()
    script.tell(ev.TurnRetried(1, 1, ("b",)))
    state(page, "queued")
    expect(page.locator("[data-heading]")).to_be_focused()
    script.tell(ev.BattleCancelled("user"))
    with page.expect_response("**/retry"):
        page.get_by_role("button", name="Let both answer again").click()
    script.tell(ev.TurnRetried(1, 2, ev.SIDES))
    state(page, "queued")
    assert [body for body, _ in retries] == [{"side": "b"}, {}]
    assert retries[0][1] != retries[1][1]


def test_what_trying_again_cannot_mend_is_not_offered(page: Page, script: Script) -> None:
    hopeless = ev.Failure("context_overflow", "It is too long for the model.", False)
    script.tell(*STARTED, *WRITTEN[:3], ev.SideFailed("b", hopeless), ev.BattleFailed(hopeless))
    state(page, "void")
    expect(page.get_by_role("button", name="answer again")).to_have_count(0)
    expect(page.get_by_role("button", name="Two new models")).to_be_visible()


def test_a_turn_that_fails_leaves_the_turns_before_it_to_the_vote(page: Page, script: Script, asked: Asked) -> None:
    turns = asked("**/turns", {"id": BATTLE, "url": "", "turn": 2, "retry": 0})
    script.tell(*STARTED, *WRITTEN, ev.BattleVotable())
    page.get_by_label("Ask both something more").fill("And the twin primes?")
    with page.expect_response("**/turns"):
        page.keyboard.press("Enter")
    script.tell(ev.TurnStarted(2, "And the twin primes?"), *STARTED)
    state(page, "streaming")
    assert [body for body, _ in turns] == [{"prompt": "And the twin primes?"}]
    expect(page.get_by_label("Ask both something more")).to_be_focused()
    script.tell(ev.BattleCancelled("user", votable=True))
    state(page, "votable")
    expect(page.get_by_text("You can vote on the turns before them.")).to_be_visible()
    expect(page.get_by_role("button", name="Let both answer again")).to_be_visible()


def test_a_prompt_that_was_refused_is_kept_and_sent_again_under_the_same_key(
    page: Page, script: Script, complaints: list[str]
) -> None:
    script.tell(*STARTED, *WRITTEN, ev.BattleVotable())
    keys: list[str | None] = []

    def fail(route: Route) -> None:
        keys.append(route.request.headers.get("idempotency-key"))
        route.abort()

    page.route("**/turns", fail)
    area = page.get_by_label("Ask both something more")
    area.fill("Keep me.")
    for count in (1, 2):
        with page.expect_event("requestfailed"):
            page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("could not be reached")
        expect(area).to_have_value("Keep me.")
        expect(page.get_by_role("button", name="Ask both")).to_be_enabled()
        assert len(keys) == count
    assert keys[0]
    assert keys[0] == keys[1]
    complaints.clear()


def test_two_new_models_get_the_first_prompt(page: Page, script: Script, asked: Asked) -> None:
    begun = asked("**/api/battles", {"id": "c" * 22, "url": f"/battles/{'c' * 22}", "state": "queued", "ws": "/ws"})
    script.tell(*STARTED, *WRITTEN, ev.BattleVotable(), ev.TurnStarted(2, "More."), *STARTED, *WRITTEN)
    script.tell(ev.BattleVotable(), ev.BattleVoted("a"), ev.BattleRevealed(MODELS))
    page.get_by_role("button", name="Same prompt, two new models").click()
    expect(page).to_have_url(re.compile("c" * 22))
    assert [body for body, _ in begun] == [{"prompt": PROMPT}]


def test_the_list_shows_outcomes_page_by_page_and_failures_in_words(
    page: Page, complaints: list[str], echo_arena: Stack
) -> None:
    names = {"a": {"id": "x", "name": "Model X"}, "b": {"id": "y", "name": "Model Y"}}
    voted = {**ENTRY, "id": "two", "prompt": "Second", "votable": False, "winner": "a", "models": names}
    page.route("**/api/battles", lambda route: route.abort())
    with page.expect_console_message(lambda m: "Failed to load resource" in m.text):
        page.goto(echo_arena.url + "/battles")
    state(page, "problem")
    complaints.clear()
    page.route("**/api/battles", lambda route: route.fulfill(json={"battles": [], "next_cursor": None}))
    page.get_by_role("button", name="Try again").click()
    state(page, "none")
    page.route("**/api/battles", lambda route: route.fulfill(json={"battles": [ENTRY], "next_cursor": "next"}))
    page.route("**/api/battles?cursor=next", lambda r: r.fulfill(json={"battles": [voted], "next_cursor": None}))
    page.reload()
    expect(page.get_by_role("listitem").filter(has_text="sky blue")).to_contain_text("Waiting for your vote")
    page.get_by_role("button", name="Show older ones").click()
    expect(page.get_by_role("listitem").filter(has_text="Second")).to_contain_text("A: Model X, B: Model Y")
    expect(page.get_by_role("button", name="Show older ones")).to_have_count(0)
    expect(page.get_by_role("link", name="Why is the sky blue?")).to_have_attribute("href", "/battles/one")


def test_a_draft_outlives_its_page(page: Page, echo_arena: Stack) -> None:
    page.goto(echo_arena.url)
    page.get_by_label("Your prompt").fill("Half a thought")
    page.reload()
    expect(page.get_by_label("Your prompt")).to_have_value("Half a thought")


@pytest.mark.parametrize(("width", "height"), [(390, 844), (320, 568), (320, 256)])
def test_nothing_is_cut_off_on_a_small_screen(page: Page, script: Script, width: int, height: int) -> None:
    """320 by 256 is a desktop at 400 %."""
    page.set_viewport_size({"width": width, "height": height})
    script.tell(*STARTED, *WRITTEN, ev.BattleVotable())
    state(page, "votable")
    page.keyboard.press("Alt+1")
    state(page, "choosing")
    for name in ("Undo", "Count it now", "Tie", "B is better", "Ask both"):
        page.get_by_role("button", name=name).scroll_into_view_if_needed()
        expect(page.get_by_role("button", name=name)).to_be_in_viewport(ratio=0.99)
    assert page.evaluate("() => document.querySelector('#arena').scrollWidth <= innerWidth")


def test_on_a_small_phone_the_foot_is_in_sight_while_the_next_turn_is_answered(page: Page, script: Script) -> None:
    page.set_viewport_size({"width": 320, "height": 640})
    script.tell(*STARTED, *WRITTEN, ev.BattleVotable(), ev.TurnStarted(2, "And why does it never end?"))
    expect(page.locator(".line")).to_be_visible()
    for name in ("Stop", "Tie", "Ask both"):
        expect(page.get_by_role("button", name=name)).to_be_in_viewport(ratio=1)
    script.tell(*STARTED)
    script.tell(ev.SideDelta("a", "Because.\n\n" * 30 + "The end so far"))
    for name in ("Stop", "Tie", "Ask both"):
        expect(page.get_by_role("button", name=name)).to_be_in_viewport(ratio=1)
    expect(page.get_by_text("The end so far")).to_be_in_viewport(ratio=1)
