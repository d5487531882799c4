"""What a reader asks of the page itself: code that can be taken along, rest, patience, colours of their own."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.scripted import STARTED, WRITTEN, Script
from tests.browser.test_journey import FOCUSED, SEEN
from tests.processes import Stack
from worker.contract import events as ev

CODE = (
    'def f(a: str) -> str:\n\tif a < "b" and a:\n\n        return f"<b>{a}</b>&amp;"  # **not** bold\n'
    + "x = 1\n" * 400
)
MOVING = "() => document.getAnimations().filter((a) => a.playState !== 'idle').length"
NO_CLIPBOARD = "Object.defineProperty(navigator, 'clipboard', {value: undefined})"
"""A page that is served without TLS."""
MARKED = """() => {
  const held = document.activeElement, paper = getComputedStyle(document.body).backgroundColor;
  return [held, held.closest(".composer")].filter(Boolean).some((e) => {
    const { outlineColor, outlineStyle } = getComputedStyle(e);
    return outlineStyle !== "none" && outlineColor !== paper && outlineColor !== "rgba(0, 0, 0, 0)";
  });
}"""


@pytest.mark.parametrize("clipboard", [True, False])
def test_copied_code_is_the_code_while_it_is_written_and_once_it_has_its_colours(
    page: Page, context: BrowserContext, echo_arena: Stack, clipboard: bool
) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.add_init_script("" if clipboard else NO_CLIPBOARD)
    script = Script(page, echo_arena.url)
    script.open()
    area = page.get_by_label("Ask both something more")
    button = page.locator(".side-a .code").get_by_role("button")

    def taken() -> str:
        button.click()
        expect(button).to_have_text("Copied")
        area.fill("")
        page.keyboard.press("ControlOrMeta+V")
        return area.input_value()

    script.tell(*STARTED, ev.SideDelta("a", f"Here:\n\n```python\n{CODE}"))
    expect(page.locator(".side-a code")).to_contain_text("x = 1")
    assert taken().rstrip("\n") == CODE.rstrip("\n")
    expect(button).to_have_text("Copy")
    script.tell(ev.SideDelta("a", "```\n\nThat is **all**."), ev.SideDone("a", "stop"), *WRITTEN[1::2])
    expect(page.locator(".side-a .hljs-keyword").first).to_be_visible()
    assert taken() == CODE.rstrip("\n")
    page.get_by_role("button", name="Copy answer A").click()
    area.fill("")
    page.keyboard.press("ControlOrMeta+V")
    expect(area).to_have_value(f"Here:\n\n```python\n{CODE}```\n\nThat is **all**.")


def test_nothing_moves_for_who_wants_no_motion(page: Page, echo_arena: Stack) -> None:
    page.clock.install(time=0)
    script = Script(page, echo_arena.url)
    script.open()
    page.clock.pause_at(20)
    steps: list[tuple[str, list[ev.StoredEvent]]] = [
        ("queued", [ev.BattleQueued(position=2)]),
        ("streaming", [*STARTED, ev.SideDelta("a", "Half")]),
        ("votable", [*WRITTEN, ev.BattleVotable()]),
    ]
    for state, events in steps:
        script.tell(*events)
        expect(page.locator(f"[data-state={state}]")).to_be_visible()
        if state == "votable":
            page.keyboard.press("Alt+1")
            expect(page.get_by_role("button", name="Undo")).to_be_visible()
        page.emulate_media(reduced_motion="no-preference")
        assert page.evaluate(MOVING) > 0, state
        page.emulate_media(reduced_motion="reduce")
        assert page.evaluate(MOVING) == 0, state


def test_the_time_that_passes_is_told_and_no_wait_is_given_up(page: Page, echo_arena: Stack) -> None:
    page.clock.install()
    script = Script(page, echo_arena.url)
    script.open()
    script.tell(ev.BattleQueued(position=9, eta_s=900))
    waiting = page.locator(".line")
    expect(waiting).to_contain_text("9th in line, about 15 min")
    page.clock.run_for(21_000)
    expect(waiting.locator(".elapsed")).to_have_text(re.compile(r"^\d\d s so far$"))
    for minutes in (0, 10, 60):
        page.clock.fast_forward(minutes * 60_000)
        expect(waiting).to_contain_text("Still waiting")
    expect(waiting.locator(".elapsed")).to_have_text(re.compile(r"^7\d min so far$"))
    expect(page.get_by_role("alert")).to_have_count(0)
    script.tell(*STARTED, ev.SideDelta("a", "At last"))
    expect(page.locator(".side-a .prose")).to_have_text("At last")
    expect(waiting).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_the_readers_own_colours_focus_and_sides_are_told_apart_by_line_and_shape(
    chromium: Browser, echo_arena: Stack, scheme: Any
) -> None:
    context = chromium.new_context(forced_colors="active", color_scheme=scheme, reduced_motion="reduce")
    page = context.new_page()
    script = Script(page, echo_arena.url)
    script.open()
    script.tell(*STARTED, *WRITTEN, ev.BattleVotable())
    expect(page.get_by_role("button", name="Tie")).to_be_enabled()
    shape = "(e) => { const s = getComputedStyle(e); return [e.textContent, s.borderTopStyle, s.borderTopLeftRadius]; }"
    a, b = (page.locator(f".side-{side} .answer-head .tile").evaluate(shape) for side in "ab")
    assert (a[:2], b[:2]) == (["A", "solid"], ["B", "solid"])
    assert a[2] != b[2]
    page.get_by_label("Ask both something more").fill("And then?")
    page.locator(".skip").focus()
    walked = []
    while page.evaluate("() => document.activeElement !== document.body"):
        walked.append(page.evaluate(FOCUSED))
        assert page.evaluate(SEEN) == "", walked[-1]
        assert page.evaluate(MARKED), f"{walked[-1]}: its mark has the colour of the page"
        page.keyboard.press("Tab")
    assert {"New battle", "Copy", "Ask both"} <= set(walked)
    context.close()


def test_the_end_stays_in_sight_when_formulas_are_set_after_the_last_word(page: Page, echo_arena: Stack) -> None:
    script = Script(page, echo_arena.url)
    script.open()
    formula = "$$\n\\sum_{i=1}^n \\frac{\\frac{i}{2}}{\\frac{n}{3}}\n$$\n\n"
    script.tell(*STARTED, ev.SideDelta("a", "Words.\n\n" * 20 + formula * 6 + "The end."), ev.SideDone("a", "stop"))
    expect(page.locator(".side-a .katex")).to_have_count(6)
    page.evaluate("() => document.fonts.ready")
    expect(page.locator(".side-a .prose p").last).to_be_in_viewport(ratio=1)
    page.locator(".side-a .scroll").evaluate("(pane) => pane.scrollTo(0, 0)")
    script.tell(*WRITTEN[1::2], ev.BattleVotable())
    expect(page.get_by_role("button", name="Tie")).to_be_enabled()
    assert page.locator(".side-a .scroll").evaluate("(pane) => pane.scrollTop") == 0
