"""Alembic's entry: the same versions for SQLite (in batches, as it cannot alter) and PostgreSQL."""

from __future__ import annotations

from typing import Any

from alembic import context
from sqlalchemy import Connection

from web.db import Database
from web.models import Base
from web.settings import WebSettings

LOCK = 0x11A12E4A
"""PostgreSQL's advisory lock while migrating, so that two hosts starting at once take turns."""


def run() -> None:
    """Run the requested migrations in one transaction."""
    url = context.config.get_main_option("sqlalchemy.url") or WebSettings.from_env().database
    if context.is_offline_mode():
        context.configure(url=url, target_metadata=Base.metadata, literal_binds=True, render_as_batch=True)
        with context.begin_transaction():
            context.run_migrations()
        return
    db = Database(url)
    engine = db.engine.execution_options(arena_writes=True)
    with engine.connect() as connection:
        if db.sqlite:
            # A table is altered by making it anew and dropping the old one, and with the checks on a dropped table
            # takes all that refers to it along. They cannot be turned off inside a transaction.
            _raw(connection).execute("PRAGMA foreign_keys=OFF")
        else:
            connection.exec_driver_sql(f"SELECT pg_advisory_lock({LOCK})")
            connection.commit()
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            render_as_batch=db.sqlite,
            compare_type=True,
            transactional_ddl=True,
        )
        with context.begin_transaction():
            context.run_migrations()
        if db.sqlite and (broken := _raw(connection).execute("PRAGMA foreign_key_check").fetchall()):
            raise RuntimeError(f"after the migration {len(broken)} rows refer to rows that are not there")
    db.dispose()


def _raw(connection: Connection) -> Any:
    return connection.connection.driver_connection


run()
