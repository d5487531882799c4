"""Open data over HTTP: what the commands write, for keys of scope ``export``; the leaderboard for everybody."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update
from werkzeug.test import TestResponse

from tests.web.ratings.test_board import add_votes
from web.admin import keys
from web.context import Arena
from web.models import Battle, Vote, now
from web.records.service import Records
from web.settings import WebSettings

Ask = Callable[..., TestResponse]


@pytest.fixture
def settings(settings: WebSettings) -> WebSettings:
    return settings.model_copy(update={"export_delay_days": 0})


@pytest.fixture
def ask(client: FlaskClient, arena: Arena) -> Ask:
    """GET with a key of one scope."""

    def get(scope: str, path: str, known: str = "") -> TestResponse:
        _, token = arena.db.write(lambda s: keys.create(s, "data", [scope], {}))
        return client.get(path, headers={"Authorization": f"Bearer {token}", "If-None-Match": known})

    return get


@pytest.fixture
def voted(arena: Arena, records: Records) -> Arena:
    add_votes(arena, ("x", "y", "a", True), ("y", "z", "both_bad", True), ("z", "x", "b", False))
    arena.db.write(lambda s: s.execute(update(Battle).values(voted_at=now())))
    records.refresh_ratings()
    return arena


@pytest.mark.parametrize("kind", ["votes", "battles"])
@pytest.mark.parametrize("shape", ["jsonl", "csv", "parquet"])
def test_an_export_over_http_is_what_the_command_writes(
    kind: str, shape: str, app: Flask, voted: Arena, ask: Ask
) -> None:
    if shape == "parquet":
        pytest.importorskip("pyarrow")
    reply = ask("export", f"/api/exports/{kind}?format={shape}")
    assert reply.status_code == 200
    written = app.test_cli_runner().invoke(args=["export", kind, "--format", shape])
    assert reply.data == written.stdout_bytes
    assert len(reply.data) > 100


def test_it_is_for_keys_of_that_scope_only(client: FlaskClient, voted: Arena, ask: Ask) -> None:
    for kind in ("votes", "battles"):
        assert client.get(f"/api/exports/{kind}").status_code == 401
        assert ask("battle", f"/api/exports/{kind}").status_code == 403
    assert client.get("/api/exports/leaderboard").status_code == 200
    assert ask("export", "/api/exports/votes?format=xml").status_code == 422
    assert client.get("/api/exports/leaderboard?category=nothing").status_code == 404


def test_the_leaderboard_is_that_of_the_command_once_all_votes_are_published(
    app: Flask, client: FlaskClient, voted: Arena
) -> None:
    written = app.test_cli_runner().invoke(args=["export", "leaderboard"])
    reply = client.get("/api/exports/leaderboard")
    assert reply.data == written.stdout_bytes
    assert {row["model"]: row["votes"] for row in json.loads(reply.data)} == {"x": 1, "y": 2, "z": 1}
    table = client.get("/api/exports/leaderboard?format=csv").data.decode().splitlines()
    assert table[0] == "model,rank,rating,low,high,votes"
    assert len(table) == 4


def test_nothing_is_sent_again_until_something_changed(voted: Arena, records: Records, ask: Ask) -> None:
    paths = ("/api/exports/votes", "/api/exports/battles", "/api/exports/leaderboard")
    tags = {path: ask("export", path).headers["ETag"] for path in paths}
    for path, tag in tags.items():
        again = ask("export", path, tag)
        assert (again.status_code, again.data) == (304, b"")
    voted.db.write(lambda s: s.execute(update(Vote).where(Vote.id == 1).values(counted=False, reasons=["flagged"])))
    records.refresh_ratings()
    for path, tag in tags.items():
        assert ask("export", path, tag).status_code == 200, path


def test_a_format_whose_package_is_missing_is_a_typed_refusal(
    voted: Arena, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    reply = ask("export", "/api/exports/votes?format=parquet")
    assert (reply.status_code, reply.get_json()["code"]) == (406, "format_missing")
