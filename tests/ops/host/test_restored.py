"""A backup in an empty host, asked through the app: the board to the byte, every battle and its texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient

from tests.ops.host.test_care import backup
from tests.postgres import empty_database
from tests.processes import ROOT
from tests.web import helpers
from tests.web.conftest import app as app
from tests.web.conftest import arena as arena
from tests.web.conftest import begin as begin
from tests.web.conftest import client as client
from tests.web.conftest import finish as finish
from tests.web.conftest import records as records
from tests.web.conftest import votes as votes
from tests.web.conftest import worker as worker
from web import create_app
from web.migrate import upgrade
from web.records.service import Records
from web.security import COOKIE
from web.settings import WebSettings

KINDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
BOARD = ("/api/leaderboard", "/api/leaderboard/pairs", "/api/leaderboard/history", "/api/battles?limit=100")


@pytest.fixture
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[str]]:
    """Of the host that is lost, and of the one that takes its place."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            yield [f"sqlite:///{tmp_path / name / 'arena.sqlite3'}" for name in ("lost", "fresh")]
        else:
            yield [stack.enter_context(empty_database()) for _ in range(2)]


@pytest.fixture
def settings(redis_client: redis.Redis, redis_url: str, databases: list[str], tmp_path: Path) -> WebSettings:
    """With a signing key of its own beside the database."""
    known = WebSettings(redis_url=redis_url, catalog=ROOT / "ops/catalogs/echo.toml", limits="off", integrity="off")
    return settings_of(known.model_copy(update={"rating_pause_s": 0.0}), databases[0], tmp_path / "lost")


def settings_of(known: WebSettings, database: str, folder: Path) -> WebSettings:
    folder.mkdir()
    upgrade(database)
    return known.model_copy(update={"data_dir": folder, "database_url": database, "secret_key": None})


@pytest.mark.parametrize("databases", KINDS, indirect=True)
def test_board_and_history_are_the_same_on_an_empty_host(
    databases: list[str], settings: WebSettings, client: FlaskClient, begin: Callable[..., str],
    finish: Callable[..., Any], votes: Callable[..., None], records: Records, redis_client: redis.Redis, tmp_path: Path,
) -> None:  # fmt: skip
    battles = [begin(f"Question {n}, with 'quotes' and 日本?") for n in range(3)]
    for battle in battles[:2]:
        finish(battle)
    assert client.post(f"/api/battles/{battles[0]}/vote", json={"winner": "a"}).status_code == 201
    models = helpers.MODELS[:3]
    votes(*[(a, b, w) for a in models for b in models if a != b for w in ("a", "b", "tie")], refresh=False)
    assert records.refresh_ratings() is True
    seen = asked(client, battles)
    kept = dict(zip(("ARENA_DATABASE_URL", "ARENA_DATA_DIR"), (databases[0], str(settings.data_dir)), strict=True))
    kept["ARENA_REDIS_URL"] = settings.redis_url
    made = backup(["create", "--into", str(tmp_path / "kept")], kept)
    assert made.returncode == 0, made.stderr
    (file,) = (tmp_path / "kept").glob("*.tar.gz")

    redis_client.flushall()
    fresh = settings_of(settings, databases[1], tmp_path / "fresh")
    there = {**kept, "ARENA_DATABASE_URL": databases[1], "ARENA_DATA_DIR": str(fresh.data_dir)}
    back = backup(["restore", str(file)], there)
    assert back.returncode == 0, back.stderr
    helpers.report_worker(redis_client)
    assert elsewhere(fresh, client, battles) == seen


def asked(client: FlaskClient, battles: list[str]) -> dict[str, bytes]:
    """What the app says of all of it to the one whose battles they are."""
    said = {}
    for path in (*BOARD, *(f"/api/battles/{battle}" for battle in battles)):
        reply = client.get(path)
        assert reply.status_code == 200, reply.text
        said[path] = reply.data
    assert len(said["/api/leaderboard"]) > 500
    assert all(battle.encode() in said["/api/battles?limit=100"] for battle in battles)
    return said


def elsewhere(fresh: WebSettings, client: FlaskClient, battles: list[str]) -> dict[str, bytes]:
    """The same asked of the new host, by a browser that has kept its cookie."""
    cookie = client.get_cookie(COOKIE)
    assert cookie is not None
    made = create_app(fresh)
    try:
        returned = made.test_client()
        returned.set_cookie(COOKIE, cookie.value)
        return asked(returned, battles)
    finally:
        made.extensions["arena_live"].hub.stop()
        made.extensions["arena_calls"].hub.stop()
        context = made.extensions["arena"]
        context.queue.celery.close()
        context.redis.connection_pool.disconnect()
        context.db.dispose()
