"""Every state of a battle's page: what it says, and that everybody can read and operate it."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.scripted import MODELS, STARTED, WRITTEN, Script
from tests.processes import Stack
from worker.contract import events as ev


@pytest.fixture
def script(page: Page, echo_arena: Stack) -> Script:
    made = Script(page, echo_arena.url)
    made.open()
    return made


def failed(message: str) -> ev.SideFailed:
    return ev.SideFailed(side="b", error=ev.Failure(code="engine_failed", message=message))


def test_waiting_is_told_in_words(page: Page, script: Script) -> None:
    script.tell(ev.BattleQueued(position=3, eta_s=40))
    expect(page.locator(".line")).to_contain_text("You are 3rd in line, about 40 s")
    script.tell(ev.BattleLoading(fraction=0.25, eta_s=12))
    expect(page.locator(".line")).to_contain_text("Loading the models, about 12 s")
    expect(page.locator("progress")).to_have_js_property("value", 0.25)
    script.tell(*STARTED)
    expect(page.locator(".line")).to_have_count(0)


def test_the_vote_opens_only_when_the_server_says_so(page: Page, script: Script) -> None:
    script.tell(*STARTED, *WRITTEN)
    expect(page.get_by_text("Stopped at the length limit")).to_be_visible()
    votes = page.get_by_role("group", name="Your vote").get_by_role("button")
    expect(votes).to_have_text(["← A is better Alt 1", "Tie Alt 2", "Both bad Alt 3", "B is better → Alt 4"])
    expect(votes.and_(page.locator(":disabled"))).to_have_count(4)
    script.tell(ev.BattleVotable())
    expect(votes.first).to_be_enabled()


def test_a_vote_by_keyboard_is_sent_once(page: Page, script: Script) -> None:
    sent: list[Any] = []
    reply = {"winner": "both_bad", "models": {"a": _facts(MODELS.a), "b": _facts(MODELS.b)}}

    def answer(route: Any) -> None:
        sent.append((route.request.post_data_json, route.request.headers.get("idempotency-key")))
        route.fulfill(json=reply, status=201)

    page.route("**/vote", answer)
    script.tell(*STARTED, *WRITTEN, ev.BattleVotable())
    expect(page.get_by_role("button", name="Tie")).to_be_enabled()
    page.keyboard.press("Alt+3")
    page.keyboard.press("Alt+3")
    page.get_by_role("button", name="Count it now").click()
    expect(page.get_by_role("heading", name="You found both bad")).to_be_focused()
    assert [body for body, _ in sent] == [{"winner": "both_bad"}]
    assert sent[0][1]
    script.tell(ev.BattleVoted(winner="both_bad"), ev.BattleRevealed(models=MODELS))
    expect(page.locator(".facts").first).to_contain_text("Speed23 tokens/s")
    expect(page.get_by_role("status").last).to_have_text("A was SmolLM2 135M Instruct. B was Qwen2.5 Coder 0.5B.")


HEAR = """() => {
  window.heard = [];
  new MutationObserver(() => {
    for (const voice of document.querySelectorAll("[role=status], [role=alert], [aria-live]")) {
      const said = voice.textContent.trim();
      if (said && said !== window.heard.at(-1)) window.heard.push(said);
    }
  }).observe(document.body, { subtree: true, childList: true, characterData: true });
}"""


def test_a_screen_reader_hears_the_boundaries_and_no_word_of_the_answers(page: Page, script: Script) -> None:
    page.evaluate(HEAR)
    steps: list[tuple[str, list[ev.StoredEvent]]] = [
        ("Your battle is in line.", [ev.BattleQueued(position=3), ev.BattleQueued(position=2, eta_s=9)]),
        ("The models are being loaded.", [ev.BattleLoading(fraction=n / 4, eta_s=9 - n) for n in range(4)]),
        ("Both models are answering.", list(STARTED)),
        ("A has finished.", [*_words(20), ev.SideDone("a", "stop")]),
        ("B has finished.", [*_words(20, "b"), ev.SideDone("b", "stop")]),
        ("Both have finished. You can vote.", [ev.BattleVotable()]),
    ]
    for said, events in steps:
        for event in events:
            script.tell(event)
        expect(page.get_by_role("status").last).to_have_text(said)
    expect(page.locator(".prose[data-whole]")).to_have_count(2)
    assert page.evaluate("() => window.heard") == [said for said, _ in steps]


def _words(count: int, *sides: str) -> list[ev.StoredEvent]:
    return [ev.SideDelta(side, f"word {n} ") for n in range(count) for side in sides or ev.SIDES]


def test_on_paper_both_answers_are_whole_and_nothing_is_there_to_press(page: Page, script: Script) -> None:
    page.set_viewport_size({"width": 390, "height": 600})
    script.tell(*STARTED, ev.SideDelta("a", "First.\n\n" * 80 + "End of A"), *WRITTEN[1:], ev.BattleVotable())
    expect(page.locator(".prose[data-whole]")).to_have_count(2)
    expect(page.locator("section.side-b")).to_be_hidden()
    page.emulate_media(media="print")
    for words in ("End of A", "Multiply them"):
        expect(page.get_by_text(words)).to_be_visible()
    cut = "(all) => all.some((e) => e.scrollHeight > e.clientHeight + 1 && getComputedStyle(e).overflowY !== 'visible')"
    assert not page.locator(".battle, .battle :not(.visually-hidden)").evaluate_all(cut)
    expect(page.locator("button:visible")).to_have_count(0)
    page.emulate_media(media="screen")


def test_in_german_too_every_button_holds_its_words(page: Page, echo_arena: Stack) -> None:
    page.goto(echo_arena.url + "/about?lang=de")
    script = Script(page, echo_arena.url)
    script.open()
    spilt = "(all) => all.filter((b) => b.scrollWidth > b.clientWidth).map((b) => b.textContent)"
    judged = [ev.BattleVoted("tie"), ev.BattleRevealed(MODELS)]
    for last, events in (("Beide schlecht", [*STARTED, *WRITTEN, ev.BattleVotable()]), ("Teilen", judged)):
        script.tell(*events)
        expect(page.get_by_role("button", name=last)).to_be_enabled()
        for width in (1280, 390, 320):
            page.set_viewport_size({"width": width, "height": 640})
            assert page.locator("button:visible, .button:visible").evaluate_all(spilt) == [], width


def test_a_failed_side_says_why_where_it_failed(page: Page, script: Script) -> None:
    script.tell(*STARTED, *WRITTEN[:3], failed("The model ran out of memory."))
    expect(page.locator(".side-b [role=alert]")).to_contain_text("The model ran out of memory.")
    expect(page.get_by_text("Model B failed, so this battle cannot be judged.")).to_be_visible()
    expect(page.get_by_role("button", name="Two new models")).to_be_enabled()


def test_a_stopped_side_looks_finished_and_says_that_it_was_stopped(page: Page, script: Script) -> None:
    script.tell(*STARTED, ev.SideDelta(side="a", text="Half"))
    caret = "() => getComputedStyle(document.querySelector('.side-a .prose > *'), '::after').content"
    expect(page.locator(".side-a .prose")).to_have_text("Half")
    assert page.evaluate(caret) != "none", "words are to come"
    expect(page.locator("section.side-b")).to_contain_text("About to answer")
    script.tell(ev.BattleCancelled("user"))
    expect(page.locator(".side-a article")).to_have_text("HalfStopped here.")
    expect(page.locator(".side-b article")).to_have_text("Stopped before the first word.")
    expect(page.locator(".status")).to_have_text(["Stopped", "Stopped"])
    expect(page.locator(".streaming, .pulse")).to_have_count(0)
    assert page.evaluate(caret) == "none"
    script.tell(ev.TurnRetried(1, 1, ev.SIDES), *STARTED)
    expect(page.get_by_text("Stopped")).to_have_count(0)


def test_what_the_board_made_of_the_vote_is_said_also_where_it_is_nothing(page: Page, echo_arena: Stack) -> None:
    page.clock.install(time=0)
    script = Script(page, echo_arena.url)
    board = {"updated_at": "2026-11-24T00:00:00+00:00", "models": [{"model": "one", "rating": 1012.1}]}
    page.route("**/api/battles/*", lambda r: r.fulfill(json={"voted_at": "2026-11-24T00:00:01+00:00", "ranked": True}))
    page.route("**/api/leaderboard", lambda route: route.fulfill(json=board))
    script.open()
    script.tell(*STARTED, *WRITTEN, ev.BattleVotable())
    expect(page.locator("[data-state=votable]")).to_be_visible()
    script.tell(ev.BattleVoted("a"), ev.BattleRevealed(MODELS))
    rating = page.locator(".side-a .facts div").first
    expect(rating).to_have_text("Rating1012")
    with page.expect_response("**/api/leaderboard"):
        page.clock.run_for(1_600)
    expect(rating).to_have_text("Rating1012")
    board["updated_at"] = "2026-11-24T00:00:02+00:00"
    page.clock.run_for(3_000)
    expect(rating).to_have_text("Rating1012 (unchanged by your vote)")
    board["models"] = [{"model": "one", "rating": 1019.7}, {"model": "two", "rating": 990.0}]
    page.clock.run_for(7_000)
    expect(rating).to_have_text("Rating1020 (+8 since your vote)")
    expect(page.locator(".side-b .facts div").first).to_have_text("Rating990 (new on the board)")


def test_an_operators_reason_is_shown(page: Page, script: Script) -> None:
    script.tell(*STARTED, ev.SideDelta(side="a", text="Half"), ev.BattleCancelled("operator", "Maintenance."))
    expect(page.get_by_text("This battle was stopped by the operator: Maintenance.")).to_be_visible()


def test_a_retry_forgets_only_the_side_it_names(page: Page, script: Script) -> None:
    script.tell(*STARTED, *WRITTEN[:3], failed("The model ran out of memory."))
    expect(page.locator(".side-a .prose[data-whole]")).to_contain_text("return []")
    first = page.locator(".side-a .prose").text_content() or ""
    script.tell(ev.BattleFailed(ev.Failure("engine_failed", "It broke.")), ev.TurnRetried(1, 1, ("b",)))
    script.tell(ev.SideStarted("b"), ev.SideDelta("b", "All new"))
    expect(page.locator(".side-b .prose")).to_have_text("All new")
    expect(page.locator(".side-a .prose")).to_have_text(first)


def test_a_new_attempt_forgets_the_old_text(page: Page, script: Script) -> None:
    script.tell(*STARTED, ev.SideDelta(side="a", text="Half an ans"))
    expect(page.locator(".side-a .prose")).to_have_text("Half an ans")
    script.tell(ev.BattleRestarted(attempt=2), *STARTED, ev.SideDelta(side="a", text="All new"))
    expect(page.locator(".side-a .prose")).to_have_text("All new")


def test_a_lost_line_is_told_and_the_text_stays(page: Page, context: BrowserContext, script: Script) -> None:
    script.tell(*STARTED, ev.SideDelta(side="a", text="Still here"))
    expect(page.locator(".side-a .prose")).to_have_text("Still here")
    page.route_web_socket("**/ws", lambda socket: socket.close(code=1013))
    script.drop(ev.CloseCode.GOING_AWAY)
    expect(page.get_by_text("Reconnecting. Nothing is lost.")).to_be_visible()
    expect(page.locator(".side-a .prose")).to_have_text("Still here")


def test_a_lost_line_hides_nothing(page: Page, script: Script) -> None:
    script.tell(*STARTED, ev.SideDelta(side="a", text="Still here"))
    page.route_web_socket("**/ws", lambda socket: socket.close(code=1013))
    script.drop(ev.CloseCode.GOING_AWAY)
    for width in (1280, 390, 320):
        page.set_viewport_size({"width": width, "height": 640})
        told = page.locator(".offline").bounding_box()
        prompt = page.locator(".asked").bounding_box()
        assert told
        assert prompt
        assert told["height"] > 10
        assert prompt["y"] >= told["y"] + told["height"] - 0.5


def test_the_caret_never_breaks_a_line(page: Page, script: Script) -> None:
    script.tell(*STARTED, ev.SideDelta(side="a", text="Because the **same step** works again."))
    words = page.locator(".side-a .prose p")
    expect(words).to_have_text("Because the same step works again.")
    grown = """(p) => Array.from({length: 200}, (_, i) => {
      p.style.width = `${120 + i}px`;
      const writing = p.offsetHeight;
      p.parentElement.classList.remove("streaming");
      const written = p.offsetHeight;
      p.parentElement.classList.add("streaming");
      return writing === written ? null : 120 + i;
    }).filter(Boolean)"""
    assert words.evaluate(grown) == []


AT_REST = """() => {
  const pane = document.querySelector(".side-a .scroll");
  const at = pane.scrollTop;
  return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(pane.scrollTop === at))));
}"""
"""A wheel's turn may be drawn over several frames."""


def test_following_the_end_lets_go_when_the_reader_scrolls_up(page: Page, script: Script) -> None:
    script.tell(*STARTED, ev.SideDelta(side="a", text="paragraph\n\n" * 60))
    pane = page.locator(".side-a .scroll")
    at_end = "(p) => p.scrollHeight - p.scrollTop - p.clientHeight < 4"
    page.wait_for_function(
        f"() => ((p) => p.scrollTop > 100 && ({at_end})(p))(document.querySelector('.side-a .scroll'))"
    )
    pane.hover()
    page.mouse.wheel(0, -400)
    page.wait_for_function(f"() => !({at_end})(document.querySelector('.side-a .scroll'))")
    page.wait_for_function(AT_REST)
    before = pane.evaluate("(p) => p.scrollTop")
    script.tell(ev.SideDelta(side="a", text="more\n\n" * 20))
    page.get_by_role("button", name="Jump to end").wait_for()
    assert pane.evaluate("(p) => p.scrollTop") == before
    page.get_by_role("button", name="Jump to end").click()
    page.wait_for_function(f"() => ({at_end})(document.querySelector('.side-a .scroll'))")


def test_on_a_narrow_screen_one_pane_shows_and_the_other_says_it_has_news(page: Page, script: Script) -> None:
    page.set_viewport_size({"width": 390, "height": 780})
    script.tell(*STARTED, ev.SideDelta(side="b", text="Hidden words"))
    expect(page.locator(".switch .dot")).to_have_count(1)
    expect(page.locator(".side-b .prose")).to_be_hidden()
    page.get_by_role("button", name="Model B").click()
    expect(page.locator(".side-b .prose")).to_be_visible()
    expect(page.locator(".switch .dot")).to_have_count(0)
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


def _facts(facts: ev.ModelFacts) -> dict[str, Any]:
    return {name: getattr(facts, name) for name in facts.__struct_fields__}
