"""Migrations from code: what ``flask --app web migrate`` does, and whether it has been done."""

from __future__ import annotations

import functools
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from web.db import Database

SCRIPTS = Path(__file__).resolve().parent.parent / "migrations"


def alembic_config(url: str) -> Config:
    """Alembic's configuration for a database, independent of the working directory."""
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config


def upgrade(url: str, revision: str = "head") -> None:
    """Bring the database up to ``revision``; a database that is there already is left alone."""
    command.upgrade(alembic_config(url), revision)


def downgrade(url: str, revision: str) -> None:
    """Take the database back to ``revision`` (``base``: empty)."""
    command.downgrade(alembic_config(url), revision)


@functools.cache
def newest_revision() -> str:
    """The head of the migrations in this checkout."""
    head = ScriptDirectory.from_config(alembic_config("")).get_current_head()
    return head or ""


def is_current(db: Database) -> bool:
    """Whether the database is at :func:`newest_revision`. Raises SQLAlchemyError when it does not answer."""
    with db.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision() == newest_revision()
