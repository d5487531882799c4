"""A catalog edited while web and records run: when it is taken up, when it is not, and what becomes of the past."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from tests.web.helpers import MODELS, report_worker
from web.catalog_file import LOOK_S, SETTLED_S, CatalogFile
from web.context import Arena
from web.settings import WebSettings
from worker.contract.catalog import Catalog, CatalogError

SWIFT, SAGE, BARD, CODER = MODELS
WREN = """
[[models]]
id = "echo-wren"
name = "Echo Wren"
maker = "The arena itself"
family = "echo"
licence = "MIT"
engine = "echo"
"""
BROKEN = '[[models]]\nid = "half"\n'


class Edited:
    """The file, an operator at it, and a clock that moves when told."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.now = 1000.0
        self.write(text, age=60)
        self.file = CatalogFile(path, lambda: self.now, lambda: self.now)

    def write(self, text: str, age: float = 0.0) -> None:
        self.path.write_text(text)
        os.utime(self.path, (self.now - age, self.now - age))

    def after(self, seconds: float) -> Catalog:
        self.now += seconds
        return self.file.now


@pytest.fixture
def text(repo_root: Path) -> str:
    return (repo_root / "ops/catalogs/echo.toml").read_text()


@pytest.fixture
def edited(tmp_path: Path, text: str) -> Edited:
    return Edited(tmp_path / "catalog.toml", text)


def without(model: str, text: str) -> str:
    first, *entries = text.split("[[models]]")
    return "[[models]]".join([first, *(e for e in entries if f'id = "{model}"' not in e)])


def test_an_edit_is_taken_up_within_one_look(edited: Edited, text: str) -> None:
    before = edited.file.now
    edited.now += 10
    edited.write(text + WREN, age=SETTLED_S)
    assert "echo-wren" in edited.file.now.ids
    assert edited.after(LOOK_S) is edited.file.now is not before


def test_between_two_looks_the_file_is_left_alone(edited: Edited, text: str) -> None:
    edited.after(LOOK_S)
    edited.write(text + WREN, age=SETTLED_S)
    assert "echo-wren" not in edited.after(LOOK_S / 2).ids
    assert "echo-wren" in edited.after(LOOK_S / 2).ids


def test_a_file_that_is_still_being_written_waits_for_the_next_look(edited: Edited, text: str) -> None:
    edited.now += LOOK_S
    edited.write(without(CODER, text))  # as far as it has come: a catalog, and not the one that was meant
    assert CODER in edited.file.now.ids
    edited.write(text + WREN)
    assert edited.after(LOOK_S).ids == (*MODELS, "echo-wren")


def test_a_file_from_the_future_is_taken_up_once_it_stays_the_same(edited: Edited, text: str) -> None:
    edited.now += LOOK_S
    edited.write(text + WREN, age=-3600)
    assert "echo-wren" not in edited.file.now.ids
    assert "echo-wren" in edited.after(LOOK_S).ids


def test_a_broken_file_changes_nothing_and_is_told_once(
    edited: Edited, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    good = edited.file.now
    edited.now += LOOK_S
    edited.write(BROKEN, age=SETTLED_S)
    with caplog.at_level(logging.WARNING, "web"):
        for _ in range(3):
            assert edited.after(LOOK_S) is good
    (told,) = [r.getMessage() for r in caplog.records]
    assert "models[0].name (half): is required" in told
    assert edited.file.refused in told
    edited.path.unlink()
    assert edited.after(LOOK_S) is good
    assert "no such file" in (edited.after(LOOK_S) and edited.file.refused)
    edited.write(text + WREN, age=SETTLED_S)
    assert "echo-wren" in edited.after(LOOK_S).ids
    assert edited.file.refused == ""


def test_a_process_does_not_start_on_a_broken_file(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="no such file"):
        CatalogFile(tmp_path / "catalog.toml")


# ── in the application ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def settings(settings: WebSettings, tmp_path: Path, text: str) -> WebSettings:
    (tmp_path / "catalog.toml").write_text(text)
    return settings.model_copy(update={"catalog": tmp_path / "catalog.toml"})


@pytest.fixture
def takes_up(arena: Arena) -> Callable[[str], None]:
    """The file becomes this text, and the time between two looks has passed."""

    def go(text: str) -> None:
        arena.settings.catalog.write_text(text)
        os.utime(arena.settings.catalog, (1, len(text)))
        arena.catalogs._next = 0.0

    return go


def test_a_model_that_is_added_is_listed_and_drawn_once_a_worker_has_it(
    arena: Arena, client: FlaskClient, text: str, takes_up: Callable[[str], None]
) -> None:
    first = client.get("/api/models")
    takes_up(text + WREN)
    second = client.get("/api/models", headers={"If-None-Match": first.headers["ETag"]})
    assert [m["id"] for m in second.get_json()["models"]] == [*MODELS, "echo-wren"]
    assert "Echo Wren" in client.get("/about").text
    named = {"prompt": "Why?", "models": ["echo-wren", SWIFT]}
    report_worker(arena.redis)  # its own catalog is the old one still
    assert client.post("/api/battles", json=named).get_json()["code"] == "no_worker"
    report_worker(arena.redis, models=(*MODELS, "echo-wren"))
    assert client.post("/api/battles", json=named).status_code == 202


def test_a_model_that_is_taken_away_is_drawn_no_more_and_its_battle_is_revealed_by_name(
    client: FlaskClient,
    worker: None,
    finish: Callable[..., object],
    text: str,
    takes_up: Callable[[str], None],
) -> None:
    reply = client.post("/api/battles", json={"prompt": "Why?", "models": [SWIFT, SAGE]})
    battle = reply.get_json()["id"]
    finish(battle)
    takes_up(without(SWIFT, text))
    refused = client.post("/api/battles", json={"prompt": "Why?", "models": [SWIFT, SAGE]})
    assert refused.get_json()["code"] == "unknown_contender"
    voted = client.post(f"/api/battles/{battle}/vote", json={"winner": "a"}).get_json()
    named = {side["id"]: side["name"] for side in voted["models"].values()}
    assert named == {SWIFT: "Echo Swift (stand-in)", SAGE: "Echo Sage (stand-in)"}
    assert {s["licence"] for s in voted["models"].values()} == {"Apache-2.0"}
    (mine,) = client.get("/api/battles").get_json()["battles"]
    assert {m["name"] for m in mine["models"].values()} == set(named.values())
    shown = client.get(f"/api/battles/{battle}").get_json()
    assert {m["name"] for m in shown["models"].values()} == set(named.values())
    assert SWIFT not in [m["id"] for m in client.get("/api/models").get_json()["models"]]


def test_who_looks_after_the_arena_is_told_of_a_broken_file(
    app: object, arena: Arena, takes_up: Callable[[str], None]
) -> None:
    page = app.extensions["arena_metrics"].page  # type: ignore[attr-defined]
    assert b"arena_catalog_refused 0.0" in page()
    takes_up(BROKEN)
    assert b"arena_catalog_refused 1.0" in page()
    assert arena.catalog.ids == MODELS
