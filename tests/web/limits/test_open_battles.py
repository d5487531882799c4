"""How many battles of one person may be open at the same time; the database counts."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, func, select, update
from sqlalchemy.orm import Session

from tests.web.helpers import report_worker
from web import create_app
from web.access import digest
from web.context import Arena
from web.limits.open_battles import check
from web.models import ApiKey, Batch, Battle
from web.security import COOKIE
from web.settings import WebSettings

NOW = datetime.now(UTC)


@pytest.fixture
def settings(settings: WebSettings) -> WebSettings:
    off = {n: 0 for n in WebSettings.model_fields if n.startswith(("prompts_per", "requests_per"))}
    return settings.model_copy(update={"limits": "on", "open_battles": 2, **off})


@pytest.fixture(autouse=True)
def accepting(redis_client: redis.Redis) -> None:
    report_worker(redis_client)


@pytest.fixture
def visitor(client: FlaskClient) -> FlaskClient:
    client.get("/")
    return client


def begin(client: FlaskClient, **headers: str) -> int:
    return client.post("/api/battles", json={"prompt": "Why?"}, headers=headers).status_code


def battles(arena: Arena) -> int:
    return arena.db.read(lambda s: s.scalar(select(func.count()).select_from(Battle))) or 0


def test_one_battle_too_many_is_refused_and_leaves_nothing(visitor: FlaskClient, arena: Arena) -> None:
    assert [begin(visitor), begin(visitor)] == [202, 202]
    reply = visitor.post("/api/battles", json={"prompt": "Why?"})
    problem = reply.get_json(force=True)
    assert (reply.status_code, problem["code"], problem["limit"]) == (429, "rate_limited", "open_battles")
    assert "Retry-After" in reply.headers
    assert battles(arena) == 2


def test_a_battle_that_has_ended_makes_room(visitor: FlaskClient, arena: Arena) -> None:
    begin(visitor)
    begin(visitor)
    arena.db.write(lambda s: s.execute(update(Battle).values(state="finished", finished_at=NOW)))
    assert begin(visitor) == 202


def test_everybody_has_a_limit_of_their_own(visitor: FlaskClient, app: Flask) -> None:
    begin(visitor)
    begin(visitor)
    other = app.test_client()
    other.get("/")
    assert begin(other) == 202


def test_a_key_may_have_its_own_number_and_its_batches_do_not_count(app: Flask, arena: Arena) -> None:
    secret = "arena_program0_" + "s" * 43
    key = ApiKey(id="program0", name="p", digest=digest(secret), scopes=["battle"], limits={"open_battles": 1})
    arena.db.write(lambda s: s.add(key))
    header = {"Authorization": f"Bearer {secret}"}
    assert begin(app.test_client(), **header) == 202
    assert begin(app.test_client(), **header) == 429
    owner = arena.db.read(lambda s: s.scalar(select(Battle.owner)))
    assert owner is not None

    def of_a_batch(session: Session) -> None:
        session.add(Batch(id="t" * 22, owner=owner, size=1))
        session.flush()
        session.execute(update(Battle).values(batch_id="t" * 22))

    arena.db.write(of_a_batch)
    assert begin(app.test_client(), **header) == 202


def test_thirty_at_the_same_moment_open_two(settings: WebSettings, visitor: FlaskClient, arena: Arena) -> None:
    """Processes of their own would be the same: what decides is the database."""
    cookie = visitor.get_cookie(COOKIE)
    assert cookie is not None
    app = create_app(settings)
    statuses: list[int] = []

    def go() -> None:
        mine = app.test_client()
        mine.set_cookie(COOKIE, cookie.value)
        statuses.append(begin(mine))

    threads = [threading.Thread(target=go) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [202] * 2 + [429] * 28
    assert battles(arena) == 2
    app.extensions["arena_live"].hub.stop()
    app.extensions["arena"].queue.celery.close()
    app.extensions["arena"].db.dispose()


def test_the_count_is_answered_from_an_index_alone(arena: Arena) -> None:
    """An owner may have had a hundred thousand battles, and every prompt asks."""
    asked: list[str] = []
    event.listen(arena.db.engine, "before_cursor_execute", lambda *a: asked.append(a[2]))
    arena.db.write(lambda s: check(s, "o" * 64, 1))
    (count,) = [sql for sql in asked if "count(" in sql]
    with arena.db.engine.connect() as connection:
        plan = connection.exec_driver_sql("EXPLAIN QUERY PLAN " + count, ("o" * 64, "queued", "running")).all()
    assert "COVERING INDEX ix_battles_owner_state_batch_id" in str(plan)
