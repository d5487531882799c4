"""The web side on a migrated SQLite file of its own and the session's real Redis."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient
from pydantic import SecretStr

from tests.web import helpers
from web import pages
from web.context import Arena
from web.migrate import upgrade
from web.models import Battle, Vote
from web.records.service import Records
from web.settings import WebSettings


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database at the newest revision, to copy."""
    file = Path(tmp_path_factory.mktemp("db")) / "arena.sqlite3"
    upgrade(f"sqlite:///{file}")
    return file


@pytest.fixture
def settings(redis_client: redis.Redis, redis_url: str, migrated: Path, tmp_path: Path, repo_root: Path) -> WebSettings:
    shutil.copy(migrated, tmp_path / "arena.sqlite3")
    return WebSettings(
        redis_url=redis_url,
        data_dir=tmp_path,
        catalog=repo_root / "ops/catalogs/echo.toml",
        secret_key=SecretStr("for tests only"),
        prompt_max_chars=100,
        rating_pause_s=0,
        limits="off",
    )


@pytest.fixture
def app(settings: WebSettings) -> Iterator[Flask]:
    with helpers.running(settings) as made:
        yield made


@pytest.fixture
def arena(app: Flask) -> Arena:
    found: Arena = app.extensions["arena"]
    return found


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Somebody's browser, with its own cookies."""
    return app.test_client()


@pytest.fixture
def worker(redis_client: redis.Redis) -> None:
    """A worker that accepts battles."""
    helpers.report_worker(redis_client)


@pytest.fixture
def records(arena: Arena) -> Records:
    return Records(arena)


@pytest.fixture
def begin(client: FlaskClient, worker: None) -> Callable[..., str]:
    """Begin a battle as ``client`` and return its id."""

    def _begin(prompt: str = "Why is the sky blue?", who: FlaskClient = client) -> str:
        reply = who.post("/api/battles", json={"prompt": prompt})
        assert reply.status_code == 202, reply.text
        battle: str = reply.get_json()["id"]
        return battle

    return _begin


@pytest.fixture
def finish(records: Records, redis_client: redis.Redis) -> Callable[..., Any]:
    """Play the worker and the records worker for a battle, to its end."""

    def _finish(battle: str, sides: str = "ab", **fields: Any) -> Any:
        outcome = helpers.result(battle, **fields)
        records.started(battle, outcome.turn, outcome.attempt)
        helpers.stream(redis_client, outcome, sides)
        records.finished(outcome)
        return outcome

    return _finish


@pytest.fixture
def votes(arena: Arena, records: Records) -> Callable[..., None]:
    """Store votes (model a, model b, winner) as they would be after battles, and fit the board."""

    def cast(*given: tuple[str, str, str], refresh: bool = True) -> None:
        def work(session: Any) -> None:
            for a, b, winner in given:
                battle = Battle(owner="o", state="finished", model_a=a, model_b=b, probability=0.1, policy_version="t")
                battle.id = f"battle-{id(battle)}-{session.query(Battle).count()}"
                session.add(battle)
                session.flush()
                session.add(Vote(battle_id=battle.id, owner="o", winner=winner, model_a=a, model_b=b))
                session.flush()

        arena.db.write(work)
        if refresh:
            records.refresh_ratings()

    return cast


BUILT = (
    "arena.js",
    "battle.js",
    "renderer.js",
    "mine.js",
    "words-de.js",
    "arena.css",
    "site.css",
    "board.css",
    "docs.css",
    "katex.css",
)


@pytest.fixture
def built(tmp_path: Path, app: Flask, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A build of nothing much, in place of the real one."""
    folder = tmp_path / "static"
    folder.mkdir()
    names = [*BUILT, "operator.js", "operator.css", "icon.svg", "inter-latin-wght-normal.woff2"]
    files = {name: name.replace(".", "-ABCDEFGH.", 1) for name in names}
    for file in files.values():
        (folder / file).write_text("built " + file)
    (folder / "arena-ABCDEFGH.js.gz").write_bytes(gzip.compress(b"built arena-ABCDEFGH.js"))
    (folder / "manifest.json").write_text(json.dumps({"files": files, "preload": {"arena.js": ["chunk-X.js"]}}))
    monkeypatch.setattr(app, "static_folder", str(folder))
    monkeypatch.setattr(pages._assets, "folder", folder)
    return folder
