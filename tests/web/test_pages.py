"""The pages people see, and the built files they ask for."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.web import helpers
from web.settings import WebSettings


@pytest.mark.parametrize("path", ["/", "/battles/" + "x" * 22, "/leaderboard", "/about", "/notice"])
def test_every_page_is_a_document_without_inline_code(client: FlaskClient, built: Path, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-cache"
    assert "<style" not in answer.text
    assert " style=" not in answer.text
    assert "<script>" not in answer.text


def test_the_arena_page_preloads_what_its_script_imports(client: FlaskClient, built: Path) -> None:
    text = client.get("/").text
    assert 'rel="modulepreload" href="/static/chunk-X.js"' in text
    assert 'data-prompt-max="100"' in text
    panes = 'rel="modulepreload" href="/static/battle-ABCDEFGH.js"'
    assert panes not in text
    assert panes in client.get("/battles/" + "x" * 22).text


def test_an_address_that_can_be_no_battle_is_a_readable_404(client: FlaskClient, built: Path) -> None:
    answer = client.get("/battles/no", headers={"Accept": "text/html"})
    assert answer.status_code == 404
    assert "There is no such battle of yours" in answer.text


def test_without_a_build_the_page_says_what_to_run(client: FlaskClient, built: Path) -> None:
    (built / "manifest.json").unlink()
    answer = client.get("/", headers={"Accept": "text/html"})
    assert answer.status_code == 503
    assert "python -m ops.assets" in answer.text


def test_a_rebuild_needs_no_restart(client: FlaskClient, built: Path) -> None:
    assert "arena-ABCDEFGH.js" in client.get("/").text
    manifest = built / "manifest.json"
    manifest.write_text(manifest.read_text().replace("arena-ABCDEFGH.js", "arena-IJKLMNOP.js"))
    os.utime(manifest, (1, 1))
    assert "arena-IJKLMNOP.js" in client.get("/").text


def test_built_files_are_cached_for_good_and_sent_compressed(client: FlaskClient, built: Path) -> None:
    with client.get("/static/arena-ABCDEFGH.js") as plain:
        assert plain.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert plain.headers["Content-Type"] == "text/javascript; charset=utf-8"
        content = plain.data
    small = client.get("/static/arena-ABCDEFGH.js", headers={"Accept-Encoding": "gzip"})
    assert small.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(small.data) == content
    missing = client.get("/static/nothing.js")
    assert missing.status_code == 404
    assert "immutable" not in missing.headers.get("Cache-Control", "")


def test_about_names_every_contender_with_its_licence(client: FlaskClient, built: Path) -> None:
    text = client.get("/about").text
    for model in client.get("/api/models").get_json()["models"]:
        assert model["name"] in text
        assert model["licence"] in text


def test_the_notice_names_every_licence_and_is_linked_from_the_arena(client: FlaskClient, built: Path) -> None:
    text = client.get("/notice").text
    for model in client.get("/api/models").get_json()["models"]:
        assert model["name"] in text
        assert model["licence"] in text
    assert "until you or the people who run this arena delete them" in text
    assert 'href="/notice"' in client.get("/").text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"retain_text_days": 30}, "<strong>30 days</strong>"),
        ({"retain_text_days": 1}, "<strong>1 day</strong>"),
        ({"store_text": "never"}, "<strong>not stored</strong>"),
        ({"contact": "me@arena.example"}, '<a href="mailto:me@arena.example">me@arena.example</a>'),
        ({"contact": "https://arena.example/us"}, '<a href="https://arena.example/us">'),
        ({"contact": "javascript:alert(1)"}, "anything else: javascript:alert(1)."),
    ],
)
def test_the_notice_says_what_this_arena_is_set_to(
    settings: WebSettings, built: Path, changes: dict[str, Any], said: str
) -> None:
    with helpers.running(settings.model_copy(update=changes)) as app:
        assert said in " ".join(app.test_client().get("/notice").text.split())


def test_an_empty_leaderboard_invites_to_the_first_battle(client: FlaskClient, built: Path) -> None:
    assert "No votes yet" in client.get("/leaderboard").text
