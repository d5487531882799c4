from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from web import db as module
from web.db import Database


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path / 'deep' / 'x.sqlite3'}")
    made.write(lambda s: s.execute(text("CREATE TABLE t (n INTEGER PRIMARY KEY)")))
    yield made
    made.dispose()


def count(session: Session) -> int:
    return int(session.execute(text("SELECT count(*) FROM t")).scalar_one())


def insert(session: Session, n: int) -> None:
    session.execute(text("INSERT INTO t VALUES (:n)"), {"n": n})


def test_what_is_written_is_read(db: Database) -> None:
    db.write(lambda s: insert(s, 1))
    assert db.read(count) == 1


def test_work_that_raises_leaves_nothing_behind(db: Database) -> None:
    def work(session: Session) -> None:
        insert(session, 1)
        raise KeyError("no")

    with pytest.raises(KeyError):
        db.write(work)
    db.write(lambda s: insert(s, 1))
    with pytest.raises(IntegrityError):
        db.write(lambda s: insert(s, 1))
    assert db.read(count) == 1


def test_a_writer_waits_for_another_process_and_then_sees_what_it_wrote(db: Database) -> None:
    other = sqlite3.connect(db.url.removeprefix("sqlite:///"), isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    other.execute("INSERT INTO t VALUES (1)")
    seen: list[int] = []
    writer = threading.Thread(target=lambda: seen.append(db.write(count)))
    writer.start()
    assert db.read(count) == 0  # readers go on meanwhile
    other.execute("COMMIT")
    writer.join(10)
    other.close()
    assert seen == [1]


def test_a_lock_that_is_never_let_go_ends_in_an_error(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.05)
    other = sqlite3.connect(db.url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(OperationalError, match="locked"):
        db.write(lambda s: insert(s, 1))
    other.execute("ROLLBACK")
    other.close()
    db.write(lambda s: insert(s, 1))


def test_writers_of_one_process_take_turns(db: Database) -> None:
    def add(_: int) -> None:
        db.write(lambda s: insert(s, count(s)))

    threads = [threading.Thread(target=add, args=(n,)) for n in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert db.read(count) == 40


def test_errors_never_quote_what_was_written(db: Database) -> None:
    db.write(lambda s: s.execute(text("CREATE TABLE w (c TEXT UNIQUE)")))
    with pytest.raises(IntegrityError) as caught:
        db.write(lambda s: [s.execute(text("INSERT INTO w VALUES (:c)"), {"c": "private words"}) for _ in range(2)])
    assert "private words" not in str(caught.value)
