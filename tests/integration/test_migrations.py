"""Every migration up and down, on SQLite and on PostgreSQL, and the result against the models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from tests.postgres import postgres_url  # noqa: F401
from web.db import Database
from web.migrate import alembic_config, downgrade, is_current, newest_revision, upgrade
from web.models import Base, Battle, Turn, Vote, Words


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'x.sqlite3'}"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest) -> str:
    found: str = request.getfixturevalue(f"{request.param}_url")
    return found


@pytest.fixture
def db(url: str) -> Iterator[Database]:
    made = Database(url)
    yield made
    made.dispose()


def tables(db: Database) -> set[str]:
    return set(inspect(db.engine).get_table_names()) - {"alembic_version"}


def test_the_newest_revision_is_what_the_models_say(url: str, db: Database) -> None:
    upgrade(url)
    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "render_as_batch": db.sqlite})
        assert compare_metadata(context, Base.metadata) == []
    assert tables(db) == set(Base.metadata.tables)
    assert is_current(db)


def test_constraints_have_the_names_the_models_give_them(url: str, db: Database) -> None:
    upgrade(url)
    found = inspect(db.engine)
    for name, table in Base.metadata.tables.items():
        expected = {str(c.name) for c in table.constraints if type(c).__name__ == "CheckConstraint"}
        assert {c["name"] for c in found.get_check_constraints(name)} == expected
    assert [c["name"] for c in found.get_unique_constraints("votes")] == ["uq_votes_battle_id"]


def test_every_revision_goes_down_and_up_again(url: str, db: Database) -> None:
    revisions = [r.revision for r in ScriptDirectory.from_config(alembic_config(url)).walk_revisions()]
    upgrade(url)
    for below in [*revisions[1:], "base"]:
        downgrade(url, below)
    assert tables(db) == set()
    for revision in reversed(revisions):
        upgrade(url, revision)
    assert is_current(db)


def test_migrating_again_changes_nothing(url: str, db: Database) -> None:
    upgrade(url)
    db.write(lambda s: s.add(battle()))
    upgrade(url)
    assert db.read(lambda s: s.get(Battle, "b" * 22)) is not None
    assert newest_revision()


def battle() -> Battle:
    return Battle(id="b" * 22, owner="o" * 64, model_a="x", model_b="y", probability=0.1, policy_version="uniform-1")


MOMENT = "'2026-01-01 00:00:00'"
BATTLE = "id, owner, state, votable, model_a, model_b, probability, policy_version, turns, attempt, created_at"
VOTE = "battle_id, owner, winner, model_a, model_b, counted, reasons, created_at"
OLD_ROWS = (
    f"INSERT INTO battles ({BATTLE}) VALUES ('b', 'o', 'finished', true, 'x', 'y', 0.1, 'uniform-1', 1, 1, {MOMENT})",
    f"INSERT INTO turns VALUES ('b', 1, {MOMENT}, 3)",
    "INSERT INTO answers VALUES ('b', 1, 'a', 'x', 1, 'stop', 1, 2, 0, 0.1, 1, '{}', null)",
    "INSERT INTO texts VALUES ('b', 1, 'prompt', 'why')",
    f"INSERT INTO votes ({VOTE}) VALUES ('b', 'o', 'a', 'x', 'y', true, '[]', {MOMENT})",
)
"""As the first revision keeps them."""


def test_what_was_stored_before_a_migration_is_there_after_it(url: str, db: Database) -> None:
    upgrade(url, "0001")
    for row in OLD_ROWS:
        db.write(lambda s, row=row: s.execute(text(row)))  # type: ignore[misc]

    upgrade(url)

    for table in ("battles", "turns", "answers", "texts", "votes"):
        assert db.read(lambda s, t=table: s.scalar(text(f"SELECT count(*) FROM {t}"))) == 1, table  # type: ignore[misc]
    downgrade(url, "0001")
    assert db.read(lambda s: s.scalar(text("SELECT content FROM texts"))) == "why"


def test_a_row_of_everything_fits_and_moments_stay_in_utc(url: str, db: Database) -> None:
    upgrade(url)

    def store(session) -> None:  # type: ignore[no-untyped-def]
        session.add(battle())
        session.flush()
        session.add(Turn(battle_id="b" * 22, turn=1, prompt_chars=3))
        session.flush()
        session.add(Words(battle_id="b" * 22, turn=1, part="prompt", content="日本🎌"))
        session.add(Vote(battle_id="b" * 22, owner="o" * 64, winner="a", model_a="x", model_b="y"))

    db.write(store)
    found = db.read(lambda s: s.get(Battle, "b" * 22))
    assert found is not None
    assert found.created_at.utcoffset() is not None
    assert found.created_at.utcoffset().total_seconds() == 0  # type: ignore[union-attr]
    assert db.read(lambda s: s.get(Words, ("b" * 22, 1, "prompt"))).content == "日本🎌"  # type: ignore[union-attr]


def test_the_database_itself_refuses_a_second_vote_and_an_unknown_state(url: str, db: Database) -> None:
    from sqlalchemy.exc import IntegrityError

    upgrade(url)
    db.write(lambda s: s.add(battle()))
    vote = {"battle_id": "b" * 22, "owner": "o", "winner": "a", "model_a": "x", "model_b": "y"}
    db.write(lambda s: s.add(Vote(**vote)))
    with pytest.raises(IntegrityError):
        db.write(lambda s: s.add(Vote(**vote)))
    with pytest.raises(IntegrityError):
        db.write(lambda s: s.execute(text("UPDATE battles SET state = 'lost'")))
