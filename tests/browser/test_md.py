"""The streaming Markdown renderer, in a real browser under the real policy."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.documents import GOLDEN, HOSTILE, chunks, random_document

STREAMED_LIKE_ONE_SHOT = """(cases) => cases.flatMap(([text, pieces]) => {
    const whole = harness.oneShot(text), parts = harness.streamed(pieces);
    return whole === parts ? [] : [{ text, pieces, whole, parts }];
})"""


def pieces_of(text: str, count: int) -> list[str]:
    size = max(1, len(text) // count)
    return [text[at : at + size] for at in range(0, len(text), size)]


def differences(page: Page, texts: list[str], seeds: range) -> list[dict[str, object]]:
    cases = [[text, chunks(text, seed * 1000 + i)] for i, text in enumerate(texts) for seed in seeds]
    found: list[dict[str, object]] = page.evaluate(STREAMED_LIKE_ONE_SHOT, cases)
    return found


def test_however_a_text_is_cut_the_end_is_what_one_shot_makes_of_it(harness: Page) -> None:
    texts = [text for name, text in GOLDEN.items() if name != "long line"]
    assert differences(harness, texts, range(12)) == []


def test_mixtures_of_all_kinds_of_lines_too(harness: Page) -> None:
    assert differences(harness, [random_document(seed) for seed in range(400)], range(3)) == []


@pytest.mark.long
@pytest.mark.parametrize("hundred", range(60))
def test_thousands_of_mixtures(harness: Page, hundred: int) -> None:
    seeds = range(1000 + hundred * 100, 1100 + hundred * 100)
    assert differences(harness, [random_document(seed) for seed in seeds], range(4)) == []


def test_an_over_long_line_is_plain_text_however_it_is_cut(harness: Page) -> None:
    text = GOLDEN["long line"]
    seen = {
        harness.evaluate("(pieces) => harness.streamed(pieces)", chunks(text, seed, (700, 5000, 30_000)))
        for seed in range(8)
    }
    assert len(seen) == 1
    assert '<p class="plain">word *soft*' in seen.pop()


def test_a_block_once_committed_is_never_built_again(harness: Page) -> None:
    kept = harness.evaluate("""() => {
        const root = harness.place(), stream = new harness.MarkdownStream(root);
        stream.push("# One\\n\\nTwo\\n\\n- three\\n\\nFour\\n"); stream.render();
        const before = [...root.children].slice(0, 3);
        for (let i = 0; i < 50; i += 1) { stream.push(`more ${i}\\n\\n`); stream.render(); }
        stream.finish();
        return before.every((node, i) => root.children[i] === node);
    }""")
    assert kept


def test_an_open_code_block_grows_in_place_by_small_spans(harness: Page) -> None:
    result = harness.evaluate("""() => {
        const root = harness.place(), stream = new harness.MarkdownStream(root);
        stream.push("```js\\nfirst\\n"); stream.render();
        const code = root.querySelector("code");
        for (let i = 0; i < 400; i += 1) { stream.push(`line number ${i}\\n`); stream.render(); }
        const same = code === root.querySelector("code");
        const widest = Math.max(...[...code.children].map((c) => c.textContent.length));
        return { same, widest, spans: code.children.length };
    }""")
    assert result["same"]
    assert result["spans"] > 2
    assert result["widest"] < 2000


def test_half_a_mark_never_flashes(harness: Page) -> None:
    shown = harness.evaluate("""() => {
        const root = harness.place(), seen = [];
        const stream = new harness.MarkdownStream(root);
        for (const c of "A **bold** `code` end\\n\\n- item\\n- other\\n\\n```js\\nx\\n```\\n") {
            stream.push(c); stream.render(); seen.push(root.textContent);
        }
        return seen;
    }""")
    assert not [text for text in shown if "*" in text or "`" in text or text.endswith("-")]


WHAT_BECAME_OF_IT = """async (text) => {
    document.body.replaceChildren();
    harness.show(text);
    await new Promise((done) => setTimeout(done, 60));
    const bad = "script, img, iframe, style, link, form, svg, object, embed, meta, base";
    return {
        elements: [...document.body.querySelectorAll(bad)].filter((e) => !e.closest(".katex")).map((e) => e.outerHTML),
        handlers: [...document.body.querySelectorAll("*")].filter((e) =>
            [...e.attributes].some((a) => a.name.startsWith("on"))).length,
        schemes: [...document.body.querySelectorAll("[href]")].map((a) => a.protocol)
            .filter((scheme) => !["http:", "https:", "mailto:"].includes(scheme)),
        pwned: "pwned" in window,
    };
}"""


def test_hostile_output_is_inert(harness: Page, requested: Callable[[], list[str]]) -> None:
    asked_before = requested()
    for text in HOSTILE:
        became = harness.evaluate(WHAT_BECAME_OF_IT, text)
        assert became == {"elements": [], "handlers": 0, "schemes": [], "pwned": False}, text[:200]
    assert requested() == asked_before
    polluted = harness.evaluate("() => [({}).href, ({}).title, ({}).tokens, Object.keys(Object.prototype).length]")
    assert polluted == [None, None, None, 0]


def test_hostile_output_in_pieces_is_as_inert_and_as_quick(harness: Page) -> None:
    """Fifty pieces each: a text that takes longer the more often it is looked at would show here as a timeout."""
    for text in HOSTILE:
        harness.evaluate("(pieces) => harness.streamed(pieces)", pieces_of(text, 50))
    assert harness.evaluate("() => !('pwned' in window)")


def test_a_report_of_the_policy_is_seen(harness: Page, complaints: list[str], violated: list[str]) -> None:
    """What every test of this folder relies on."""
    harness.evaluate("() => { try { document.body.innerHTML = '<b>x</b>' } catch {} }")
    with harness.expect_console_message(lambda m: "img-src" in m.text and m.text.startswith("policy violated")):
        harness.evaluate("() => { new Image().src = 'https://evil.example/beacon' }")
    assert any("require-trusted-types-for" in text for text in violated)
    assert any("img-src" in text for text in violated)
    violated.clear()
    complaints.clear()


def test_reasoning_is_folded_until_somebody_wants_it(harness: Page) -> None:
    harness.evaluate("(text) => harness.show(text)", GOLDEN["thought"])
    body = harness.locator(".thought-text")
    expect(body).to_be_hidden()
    harness.get_by_text("Reasoning", exact=True).click()
    expect(body).to_be_visible()
    expect(harness.locator("strong")).to_have_text("Answer")


def test_what_is_being_read_stays_selected_while_its_block_grows(harness: Page) -> None:
    selected = harness.evaluate("""() => {
        const root = harness.place(), stream = new harness.MarkdownStream(root);
        stream.push("- first point\\n- second"); stream.render();
        getSelection().selectAllChildren(root.querySelector("li"));
        for (let i = 0; i < 20; i += 1) { stream.push(` word ${i}`); stream.render(); }
        return getSelection().toString();
    }""")
    assert selected == "first point"


def test_every_link_of_an_answer_leaves_without_telling_where_from(harness: Page) -> None:
    harness.evaluate("(text) => harness.show(text)", GOLDEN["links"])
    rels = harness.evaluate("() => [...document.querySelectorAll('a')].map((a) => [a.rel, a.target])")
    assert rels
    assert all(rel == ["noopener noreferrer nofollow ugc", "_blank"] for rel in rels)


def test_finished_code_gets_its_colours_and_keeps_its_text(harness: Page) -> None:
    code = 'def f(x: str) -> str:\n    return x + "!"  # done'
    harness.evaluate("(text) => harness.show(text)", f"```python\n{code}\n```\n\nand `inline`\n")
    expect(harness.locator("pre code .hljs-keyword").first).to_have_text("def")
    assert harness.locator("pre code").text_content() == code


def test_a_language_nobody_knows_stays_plain(harness: Page) -> None:
    harness.evaluate("(text) => harness.show(text)", "```klingon\nqapla'\n```\n\n```js\nlet a\n```\n")
    expect(harness.locator("pre code .hljs-keyword")).to_have_count(1)
    assert harness.locator("pre code").first.text_content() == "qapla'"


def test_formulas_are_set_and_money_is_not(harness: Page) -> None:
    harness.evaluate("(text) => harness.show(text)", GOLDEN["math"])
    expect(harness.locator(".katex")).to_have_count(5)
    assert "costs $5 and $6." in (harness.locator("p").first.text_content() or "")


def test_a_formula_that_cannot_be_read_stays_as_it_was_written(harness: Page) -> None:
    harness.evaluate("(text) => harness.show(text)", "$\\nonsense{$ and $x^2$")
    expect(harness.locator(".katex")).to_have_count(1)
