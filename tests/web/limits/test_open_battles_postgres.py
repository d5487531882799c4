"""Open battles once more on PostgreSQL, where two transactions at the same moment do not see each other."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from tests.postgres import postgres_url  # noqa: F401
from tests.processes import wait_for
from web.context import Arena
from web.errors import RateLimited
from web.limits.open_battles import check
from web.migrate import upgrade
from web.models import Battle
from web.settings import WebSettings

pytestmark = pytest.mark.postgres
ME = "m" * 64


@pytest.fixture
def settings(settings: WebSettings, postgres_url: str) -> WebSettings:  # noqa: F811
    upgrade(postgres_url)
    return settings.model_copy(update={"database_url": postgres_url})


def open_one(session: Session, name: str, owner: str = ME) -> None:
    pair = {"model_a": "echo-sage", "model_b": "echo-bard", "probability": 1.0, "policy_version": "t"}
    session.add(Battle(id=name * 22, owner=owner, **pair))
    session.flush()
    check(session, owner, 1)


def waiting(arena: Arena) -> bool:
    """Whether somebody stands before an advisory lock."""
    found = text("select count(*) from pg_locks where locktype = 'advisory' and not granted")
    return bool(arena.db.read(lambda s: s.scalar(found)))


def test_the_second_waits_until_it_can_see_the_first_and_is_refused(arena: Arena) -> None:
    with Session(arena.db.engine) as first, ThreadPoolExecutor(1) as pool:
        open_one(first, "a")
        second: Future[None] = pool.submit(arena.db.write, lambda s: open_one(s, "b"))
        wait_for("the second to wait", lambda: waiting(arena) or second.done(), 20)
        assert not second.done()
        first.commit()
        with pytest.raises(RateLimited):
            second.result(20)


def test_others_do_not_wait(arena: Arena) -> None:
    with Session(arena.db.engine) as first:
        open_one(first, "a")
        arena.db.write(lambda s: open_one(s, "b", "o" * 64))
        first.commit()


def test_what_was_undone_does_not_count(arena: Arena) -> None:
    with Session(arena.db.engine) as first:
        open_one(first, "a")
        first.rollback()
    arena.db.write(lambda s: open_one(s, "b"))
