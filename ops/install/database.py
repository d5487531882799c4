"""The role and the database on a PostgreSQL server that is there, and the migration."""

from __future__ import annotations

import os
import pwd
from urllib.parse import urlsplit

from ops.install import secrets
from ops.install.config import secret_environment
from ops.install.host import WEB, Host, require, told
from ops.setup.console import SetupError

SQL = r"""\set ON_ERROR_STOP on
SELECT format('CREATE ROLE %I LOGIN', :'role') WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') \gexec
SELECT format('ALTER ROLE %I LOGIN PASSWORD %L NOSUPERUSER NOCREATEDB NOCREATEROLE', :'role', :'word') \gexec
SELECT format('CREATE DATABASE %I OWNER %I', :'role', :'role')
  WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'role') \gexec
SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', :'role') \gexec
"""
"""Run as often as one likes; the password comes on standard input, where no list of processes shows it."""


def role(host: Host) -> None:
    """The arena's own role, which owns its own database and nothing else."""
    if host.options.database != "postgresql":
        told("the database is not on this host" if "://" in host.options.database else "SQLite", False)
        return
    text = f"\\set role {secrets.ROLE}\n\\set word {secrets.known(host, 'database_password')}\n{SQL}"
    words = [require("psql", "postgresql-client"), "--no-psqlrc", "--quiet", "--dbname", host.options.postgres]
    fix = "Is the server running (systemctl status postgresql)? Another one: --postgres URL, or --database URL"
    host.command(words, "Making the database", fix, input=text, **_superuser(host.options.postgres))
    told(f"PostgreSQL: role and database {secrets.ROLE}", False)


def _superuser(url: str) -> dict[str, object]:
    """Debian's server lets its own system user in by its socket, without a password."""
    asked = urlsplit(url)
    if "host=/" not in asked.query or os.getuid() != 0:
        return {}
    try:
        user = pwd.getpwnam("postgres")
    except KeyError:
        raise SetupError("PostgreSQL is not installed", "apt-get install postgresql, or --database URL") from None
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [], "cwd": "/"}


def migrate(host: Host) -> None:
    """To the newest revision, as web's user, who must own on SQLite what it makes."""
    words = [host.python, "-m", "flask", "--app", "web", "migrate"]
    fix = "Read what it says and run again; the database is as it was, and the release before serves on"
    said = host.as_user(WEB, words, secret_environment(host, "web"), "Migrating the database", fix)
    told(said.strip().splitlines()[-1], False)
