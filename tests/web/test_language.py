"""Pages in more than one language: whose choice counts, what is said, and that no word is left behind."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from flask.testing import FlaskClient

from ops import words
from tests.web.helpers import MODELS
from web.context import Arena
from web.language import COOKIE, languages

GERMAN = {"Accept-Language": "de-AT,de;q=0.9,en;q=0.5", "Accept": "text/html"}
PAGES = ("/", "/leaderboard", "/about", "/notice", "/battles", f"/models/{MODELS[0]}", "/no-such-page", "/battles/no")
SAME = {"API", "Code", "Prompt", "Esc", "Ranking"}
"""Words that are the same in both languages, or proper names."""


@pytest.fixture
def board(votes: Callable[..., None]) -> None:
    swift, sage, bard, _ = MODELS
    votes(*[(swift, sage, "a")] * 4, (sage, bard, "tie"), (bard, swift, "b"), (sage, swift, "both_bad"))
    votes((sage, swift, "a"))


def test_every_message_is_translated_and_keeps_its_placeholders() -> None:
    found = words.template()
    assert len(found) > 300
    assert {name: words.problems(file, found) for name, file in words.catalogues().items()} == {"de": []}


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        ('msgstr "Fehler %(status)s"', "placeholders differ: Error %(status)s"),
        ('msgstr "Rangliste"', "not translated: Leaderboard"),
        ('#, fuzzy\nmsgid "Leaderboard"', "unsure: Leaderboard"),
    ],
)
def test_a_catalogue_that_is_not_complete_is_told_on(tmp_path: Path, spoilt: str, said: str) -> None:
    text = words.catalogues()["de"].read_text()
    file = tmp_path / "de" / "LC_MESSAGES" / "messages.po"
    file.parent.mkdir(parents=True)
    if spoilt.startswith("#"):
        text = text.replace('msgid "Leaderboard"', spoilt)
    else:
        text = text.replace(spoilt, 'msgstr "Fehler %(other)s"' if "%" in spoilt else 'msgstr ""')
    file.write_text(text)
    assert said in words.problems(file, words.template())


def test_another_language_is_a_file_and_no_change(tmp_path: Path) -> None:
    file = tmp_path / words.FOLDER / "fr" / "LC_MESSAGES" / "messages.po"
    words.update(file, words.template())
    assert words.problems(file, words.template())
    file.write_text(
        file.read_text().replace('msgid "Leaderboard"\nmsgstr ""', 'msgid "Leaderboard"\nmsgstr "Classement"')
    )
    french = languages(tmp_path / words.FOLDER)["fr"]
    assert (french.name, french.words.gettext("Leaderboard")) == ("Français", "Classement")
    assert french.words.gettext("Votes") == "Votes"
    target = tmp_path / "static"
    target.mkdir()
    [(plain, hashed)] = [
        (plain, hashed) for plain, hashed in words.write_scripts(target, _sources(tmp_path)).items() if "fr" in plain
    ]
    assert plain == "words-fr.js"
    assert '"Leaderboard":"Classement"' in (target / hashed).read_text()


def _sources(tmp_path: Path) -> Path:
    """A checkout with the real sources and the test's own catalogue."""
    for source in (words.SCRIPT, *words.REFUSALS):
        (tmp_path / source).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / source).write_text((words.ROOT / source).read_text())
    return tmp_path


def test_the_scripts_words_are_all_there_with_every_refusal(tmp_path: Path) -> None:
    script = words.script_words(words.catalogues()["de"])
    told = json.loads(re.search(r"Object\.assign\((\{.*\}),\{plural", script)[1])  # type: ignore[index]
    assert told["messages"]["New battle"] == "Neues Duell"
    assert told["messages"]["%(num)s token"] == ["%(num)s Token", "%(num)s Tokens"]
    assert told["problems"]["prompt_too_long"] == "Der Prompt ist zu lang"
    assert set(told["problems"]) >= {"internal", "busy", "not_found", "load_failed", "rate_limited"}
    assert "plural:n=>((n != 1))" in script or "plural:n=>(n != 1)" in script


def test_a_browsers_wish_a_link_and_a_cookie_in_that_order_from_weak_to_strong(
    client: FlaskClient, built: Path
) -> None:
    def said(path: str = "/about", **headers: str) -> str:
        answer = client.get(path, headers={k.replace("_", "-"): v for k, v in headers.items()})
        tag = answer.headers["Content-Language"]
        assert {"Accept-Language", "Cookie"} <= set(answer.vary)
        assert BeautifulSoup(answer.text, "html.parser").html["lang"] == tag  # type: ignore[index]
        return tag

    assert said() == "en"
    assert said(Accept_Language="fr, en;q=0.5") == "en"
    assert said(Accept_Language=GERMAN["Accept-Language"]) == "de"
    assert said("/about?lang=xx") == "en"
    assert client.get_cookie(COOKIE) is None
    assert said("/about?lang=de") == "de"
    assert said() == said(Accept_Language="en") == "de"
    assert said("/about?lang=en", Accept_Language="de") == "en"
    assert said(Accept_Language="de") == "en"


def test_every_page_leads_to_itself_in_the_other_language(client: FlaskClient, built: Path, board: None) -> None:
    page = BeautifulSoup(client.get("/leaderboard?sort=votes").text, "html.parser")
    links = {a["hreflang"]: a["href"] for a in page.select(".foot-languages a")}
    assert links == {"en": "/leaderboard?sort=votes&lang=en", "de": "/leaderboard?sort=votes&lang=de"}


@pytest.mark.parametrize(
    ("path", "offered"), [("/about", {"en", "de"}), ("/operator", set()), ("/no-such-page", set())]
)
def test_only_what_is_translated_is_offered_to_search_engines_in_other_languages(
    client: FlaskClient, built: Path, path: str, offered: set[str]
) -> None:
    page = BeautifulSoup(client.get(path, headers=GERMAN).text, "html.parser")
    assert {link["hreflang"] for link in page.select("link[rel=alternate]")} == offered
    assert page.select_one("a[href='/docs']")["hreflang"] == "en"  # type: ignore[index]


def test_english_asks_for_no_file_of_words(client: FlaskClient, built: Path) -> None:
    assert "words-" not in client.get("/").text
    text = client.get("/", headers=GERMAN).text
    assert text.index("/static/words-de-ABCDEFGH.js") < text.index("/static/arena-ABCDEFGH.js")


@pytest.mark.parametrize("path", PAGES)
def test_nothing_on_a_german_page_remains_english(client: FlaskClient, built: Path, board: None, path: str) -> None:
    german = _spoken(client.get(path, headers=GERMAN).text)
    english = _spoken(client.get(path, headers={"Accept": "text/html"}).text)
    assert german
    named = set(SAME) | {m["name"] for m in client.get("/api/models").get_json()["models"]}
    left = {text for text in german & english if re.search("[A-Za-z]{3}", text)}
    assert {t for t in left if t not in named and not any(n in t for n in (*named, "LLM Arena"))} <= _facts(client)


def _spoken(html: str) -> set[str]:
    """Every text a person meets, read or heard."""
    page = BeautifulSoup(html, "html.parser")
    for other in page.select("[lang]:not(html)"):
        other.extract()
    texts = {" ".join(str(s).split()) for s in page.find_all(string=True) if s.parent and s.parent.name != "html"}
    for element in page.select("[aria-label], [title], [content]"):
        texts |= {str(element[k]) for k in ("aria-label", "title") if k in element.attrs}
    return {t for t in texts if t}


def _facts(client: FlaskClient) -> set[str]:
    """What models are called and made by is the same in every language."""
    facts = {str(v) for m in client.get("/api/models").get_json()["models"] for v in m.values() if v}
    return (
        facts
        | {
            " · ".join(v for v in (m["maker"], m["parameters"], m["precision"]) if v)
            for m in client.get("/api/models").get_json()["models"]
        }
        | {"CSV", "JSON", "Arena", "html"}
    )


def test_numbers_and_moments_are_written_as_the_language_does(client: FlaskClient, built: Path, board: None) -> None:
    texts = {tag: client.get(f"/leaderboard?lang={tag}").text for tag in ("en", "de")}
    assert re.search(r">\d+\.\d%<", texts["en"])
    assert re.search(r">\d+,\d\u00a0%<", texts["de"])
    assert all(re.search(r">1\d\d\d<", text) for text in texts.values()), "a rating is no count"
    assert re.search(r"\d\d? \w+ 20\d\d, \d\d:\d\d UTC", texts["en"])
    assert "95\u00a0%" in texts["de"]


def test_refusals_of_the_api_stay_english(client: FlaskClient, arena: Arena) -> None:
    body = client.get("/api/battles/nothing-here", headers={"Accept-Language": "de"}).get_json()
    assert (body["code"], body["title"]) == ("unknown_battle", "There is no such battle of yours")
