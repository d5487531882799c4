"""The database as a file, as of one moment, while everybody goes on writing: SQLite's own backup, or pg_dump."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from sqlalchemy import MetaData, create_engine, inspect, text
from sqlalchemy.engine import URL, make_url

from ops.backup.archive import BackupError
from ops.setup.postgres import binaries
from web.migrate import upgrade

COUNTED = ("battles", "turns", "votes")
NAMES = {"sqlite": "database.sqlite3", "postgresql": "database.dump"}


def kind_of(url: str) -> str:
    """``sqlite`` or ``postgresql``."""
    return make_url(url).get_backend_name()


def dump(url: str, into: Path) -> Path:
    """The file, in ``into``. Raises BackupError."""
    kind = kind_of(url)
    target = into / NAMES[kind]
    if kind == "sqlite":
        source = Path(make_url(url).database or "")
        if not source.exists():
            raise BackupError(f"{source}: there is no database; check ARENA_DATABASE_URL and ARENA_DATA_DIR")
        with closing(sqlite3.connect(source)) as live, closing(sqlite3.connect(target)) as copy:
            live.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")
        return target
    _postgres("pg_dump", url, "--format=custom", "--no-owner", "--no-privileges", "--file", str(target))
    return target


def facts(url: str) -> tuple[str, dict[str, int]]:
    """The revision (empty: none) and how many rows there are of what people ask for."""
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            tables = set(inspect(connection).get_table_names())
            rows = {
                t: int(connection.execute(text(f"SELECT count(*) FROM {t}")).scalar_one())  # noqa: S608  ours
                for t in COUNTED
                if t in tables
            }
            known = "alembic_version" in tables
            revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar() if known else ""
            return str(revision or ""), rows
    finally:
        engine.dispose()


def restore(url: str, file: Path, replace: bool) -> None:
    """Put ``file`` in the place of an empty database, and bring it to this release's revision.

    Raises BackupError where there is one with rows in it, unless it may be replaced.
    """
    kind = kind_of(url)
    if file.name != NAMES[kind]:
        other = next(k for k, name in NAMES.items() if name == file.name)
        fix = "point ARENA_DATABASE_URL at an empty one of that kind"
        raise BackupError(f"the backup is of {other} and the database is {kind}; {fix}")
    if kind == "sqlite":
        _restore_sqlite(Path(make_url(url).database or ""), url, file, replace)
    else:
        _check_empty(url, replace)
        _drop_all(url)
        _postgres(
            "pg_restore", url, "--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction", str(file)
        )
    upgrade(url)


def _restore_sqlite(place: Path, url: str, file: Path, replace: bool) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.exists():
        _check_empty(url, replace)
    draft = place.with_name(f".{place.name}.restored")
    shutil.copyfile(file, draft)
    owner = place.stat() if place.exists() else place.parent.stat()
    if os.getuid() == 0:
        os.chown(draft, owner.st_uid, owner.st_gid)
    draft.chmod(0o660)
    for beside in ("-wal", "-shm"):
        place.with_name(place.name + beside).unlink(missing_ok=True)
    draft.replace(place)


def _check_empty(url: str, replace: bool) -> None:
    _, rows = facts(url)
    if any(rows.values()) and not replace:
        held = ", ".join(f"{n} {name}" for name, n in rows.items())
        raise BackupError(f"the database holds {held}; --replace puts the backup in their place")


def _drop_all(url: str) -> None:
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            there = MetaData()
            there.reflect(connection)
            there.drop_all(connection)
            for kind in inspect(connection).get_enums():  # type: ignore[attr-defined]
                connection.execute(text(f'DROP TYPE "{kind["name"]}"'))
    finally:
        engine.dispose()


def _postgres(tool: str, url: str, *words: str) -> None:
    """The password travels in the environment, where no list of processes shows it."""
    folder = binaries()
    beside = folder / tool if folder else None
    program = str(beside) if beside and beside.exists() else shutil.which(tool)
    if program is None:
        raise BackupError(f"{tool} is not installed; apt-get install postgresql-client")
    asked = make_url(url)
    plain = URL.create("postgresql", asked.username, None, asked.host, asked.port, asked.database, asked.query)
    environment = {**os.environ, "PGPASSWORD": asked.password or ""}
    name = plain.render_as_string(hide_password=False)
    done = subprocess.run(
        [program, "--dbname", name, *words], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise BackupError(f"{tool}: {said}; the arena's server and tools must be of one version")
