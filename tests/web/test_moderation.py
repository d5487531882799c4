"""Which prompts are refused, in which words, and what happens when the judge itself fails."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.web import helpers
from web import moderation
from web.errors import ModerationUnavailable, PromptRefused
from web.moderation import ALLOW, ModerationError, Verdict, screen
from web.settings import WebSettings

CANARY = "canary-77d2"
release = threading.Event()


def refuses(text: str) -> Verdict:
    return Verdict(False, "rude") if "rude" in text else ALLOW


def crashes(text: str) -> Verdict:
    raise ValueError(text)


def sleeps(text: str) -> Verdict:
    release.wait(20)
    return ALLOW


def nonsense(text: str) -> Any:
    return SimpleNamespace(allowed=True)


def wordy(text: str) -> Verdict:
    return Verdict(False, f"because of {text}")


def own(name: str, **more: Any) -> WebSettings:
    return WebSettings(moderation=f"{__name__}:{name}", **more)


@pytest.fixture
def words(tmp_path: Path) -> WebSettings:
    file = tmp_path / "words.txt"
    file.write_text("# a list\nbadword\nvery bad  phrase\nprefix*\n*suffix # a comment\n")
    return WebSettings(moderation_words=file)


def reason(settings: WebSettings, *texts: str) -> str | None:
    try:
        screen(settings, *texts)
    except PromptRefused as refusal:
        return str(refusal.extra["reason"])
    return None


@pytest.mark.parametrize(
    "text",
    ["a BadWord.", "so very\nbad phrase", "prefixed", "mysuffix", "ｂａｄｗｏｒｄ", "bad\u200bword", "bad\u00adword"],
)
def test_words_of_the_list_are_found_however_they_are_spelt(words: WebSettings, text: str) -> None:
    assert reason(words, text) == "words"


@pytest.mark.parametrize("text", ["badwords", "notbadword", "a prefi x", "suffixes", "very good phrase", "# a list"])
def test_other_words_are_not(words: WebSettings, text: str) -> None:
    assert reason(words, text) is None


def test_every_text_of_a_conversation_is_looked_at(words: WebSettings) -> None:
    assert reason(words, "fine", "also fine", "badword") == "words"


@pytest.mark.parametrize("text", ["a" * 1001, "spam " * 1001, "🙂" * 1001])
def test_a_flood_of_one_word_is_refused(text: str) -> None:
    assert reason(WebSettings(), text) == "repetition"
    assert reason(WebSettings(moderation_repetition=0), text) is None


def test_ordinary_long_texts_are_not_floods() -> None:
    assert reason(WebSettings(), "The quick brown fox jumps over the lazy dog. " * 500) is None
    assert reason(WebSettings(), "a" * 1000) is None


def test_what_is_too_long_to_be_looked_at_is_refused() -> None:
    settings = WebSettings(moderation_max_chars=10)
    assert reason(settings, "12345", "67890") is None
    assert reason(settings, "12345", "678901") == "length"


def test_a_function_of_ones_own_decides() -> None:
    assert reason(own("refuses"), "rude words") == "rude"
    assert reason(own("refuses"), "kind words") is None


def test_a_reason_that_is_no_word_is_not_passed_on() -> None:
    assert reason(own("wordy"), CANARY) == "refused"


@pytest.mark.parametrize(
    ("name", "why"), [("crashes", "ValueError"), ("nonsense", "no Verdict"), ("sleeps", "too slow")]
)
def test_one_that_fails_closes_or_opens_as_set_and_never_shows_the_text(
    name: str, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    release.clear()
    try:
        with pytest.raises(ModerationUnavailable):
            screen(own(name, moderation_timeout_s=0.05), CANARY)
        screen(own(name, moderation_timeout_s=0.05, moderation_on_error="open"), CANARY)
    finally:
        release.set()
    assert [r.getMessage() for r in caplog.records] == [f"the moderation function failed: {why}"] * 2
    assert CANARY not in caplog.text


@pytest.mark.parametrize("path", ["nowhere.at.all:check", f"{__name__}:missing", "no colon", f"{__name__}:CANARY"])
def test_a_path_that_names_no_function_is_told_at_the_start(path: str) -> None:
    with pytest.raises(ModerationError, match="ARENA_MODERATION"):
        moderation.judge_of(WebSettings(moderation=path))


def test_a_list_that_cannot_be_read_is_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ModerationError, match="ARENA_MODERATION_WORDS"):
        moderation.judge_of(WebSettings(moderation_words=tmp_path / "none.txt"))


class TestOverRest:
    @pytest.fixture
    def settings(self, settings: WebSettings, tmp_path: Path) -> WebSettings:
        (tmp_path / "words.txt").write_text(CANARY)
        return settings.model_copy(update={"moderation_words": tmp_path / "words.txt"})

    def test_a_refused_prompt_gets_422_and_is_neither_stored_nor_sent_nor_logged(
        self, client: FlaskClient, worker: None, redis_client: Any, arena: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        reply = client.post("/api/battles", json={"prompt": f"say {CANARY} please"})
        assert reply.status_code == 422
        told = reply.get_json()
        assert (told["code"], told["field"], told["reason"]) == ("prompt_refused", "prompt", "words")
        assert CANARY not in reply.text
        assert helpers.queued(redis_client) == []
        assert CANARY not in caplog.text
        assert "a prompt was refused: words" in caplog.text
