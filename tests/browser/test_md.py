"""The streaming Markdown renderer, in a real browser under the real policy."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.documents import GOLDEN, HOSTILE, chunks, random_document

STREAMED_LIKE_ONE_SHOT = """(cases) => cases.flatMap(([text, pieces]) => {
    const whole = harness.oneShot(text), parts = harness.streamed(pieces);
    return whole === parts ? [] : [{ text, pieces, whole, parts }];
})"""


def differences(page: Page, texts: list[str], seeds: range) -> list[dict[str, object]]:
    cases = [[text, chunks(text, seed * 1000 + i)] for i, text in enumerate(texts) for seed in seeds]
    found: list[dict[str, object]] = page.evaluate(STREAMED_LIKE_ONE_SHOT, cases)
    return found


def test_however_a_text_is_cut_the_end_is_what_one_shot_makes_of_it(harness: Page) -> None:
    texts = [text for name, text in GOLDEN.items() if name != "long line"]
    assert differences(harness, texts, range(12)) == []


def test_mixtures_of_all_kinds_of_lines_too(harness: Page) -> None:
    assert differences(harness, [random_document(seed) for seed in range(400)], range(3)) == []


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
