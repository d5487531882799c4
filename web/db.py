"""The database as two verbs, ``read`` and ``write``, that hide what SQLite and PostgreSQL do differently under gevent.

SQLite's own busy wait would stop every greenlet of the process, so it is off: ``BEGIN IMMEDIATE`` is tried, and when
another process holds the lock we sleep a little and try again, one writer of this process at a time. The work given to
``write`` may therefore run twice (it is rolled back in between) and must never wait for anything, such as Redis, while
it holds the lock: on SQLite that would deadlock the process with itself.
"""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

T = TypeVar("T")

PATIENCE_S = 15.0
"""How long a writer tries to get SQLite's lock before it gives up with OperationalError."""
_WRITES = "arena_writes"


class Database:
    """One pool of connections. Making one connects to nothing."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.sqlite = make_url(url).get_backend_name() == "sqlite"
        self.engine = _sqlite_engine(url) if self.sqlite else _server_engine(url)
        self._writing = self.engine.execution_options(**{_WRITES: True})
        self._turn = threading.Semaphore(1)

    def read(self, work: Callable[[Session], T]) -> T:
        """Run ``work`` in a transaction that changes nothing."""
        if not self.sqlite:
            return _in_transaction(self.engine, work)
        return self._patiently(lambda: _in_transaction(self.engine, work))

    def write(self, work: Callable[[Session], T]) -> T:
        """Run ``work`` and commit; anything it raises rolls back. It may run more than once: see the module."""
        if not self.sqlite:
            return _in_transaction(self._writing, work)
        with self._turn:
            return self._patiently(lambda: _in_transaction(self._writing, work))

    def dispose(self) -> None:
        """Close the pool's idle connections."""
        self.engine.dispose()

    @staticmethod
    def _patiently(attempt: Callable[[], T]) -> T:
        give_up = time.monotonic() + PATIENCE_S
        while True:
            try:
                return attempt()
            except OperationalError as error:
                if not _is_locked(error) or time.monotonic() > give_up:
                    raise
            time.sleep(random.uniform(0.001, 0.012))  # noqa: S311 - only spreads the retries


def _in_transaction(engine: Engine, work: Callable[[Session], T]) -> T:
    with Session(engine, expire_on_commit=False) as session, session.begin():
        session.connection()  # takes the lock before the first read, so that what is read cannot be stale
        return work(session)


def _is_locked(error: OperationalError) -> bool:
    code = getattr(error.orig, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _server_engine(url: str) -> Engine:
    return create_engine(
        url,
        pool_size=10,
        max_overflow=10,
        pool_timeout=5,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={"connect_timeout": 5},
    )


def _sqlite_engine(url: str) -> Engine:
    file = make_url(url).database
    if file:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        url,
        hide_parameters=True,
        connect_args={"timeout": 0, "check_same_thread": False, "isolation_level": None},
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    if cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        cursor.execute("PRAGMA busy_timeout=5000")  # once in a file's life, before anybody streams
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA busy_timeout=0")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA secure_delete=ON")  # what people have deleted is not to be found in the file
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
