"""Secrets are made once and kept in files that only root reads; everything else is written anew from them."""

from __future__ import annotations

import json
import secrets
from urllib.parse import quote, unquote, urlsplit

from ops.install import several
from ops.install.host import REDIS, Host, told
from ops.setup import store

NAMES = ("signing_key", "admin_key", "database_password")


def make(host: Host) -> None:
    """What is missing; what is there stays, for sessions and keys hang on it."""
    if host.options.worker_only:
        several.take(host)
        told(f"{host.etc}/secrets/{several.BROKER}: the first host's store", False)
        return
    made = [name for name in NAMES if not (host.etc / "secrets" / name).exists()]
    for name in made:
        host.write(host.etc / "secrets" / name, secrets.token_urlsafe(48) + "\n", 0o600)
    folder = host.etc / "secrets"
    before = _read(folder / "redis.acl")
    store.write(folder, host.socket)
    host.write(host.etc / "redis" / "users.acl", _read(store.acl_file(folder)), 0o640, "", REDIS)
    several.give(host)
    told(f"{folder}: {', '.join(NAMES)}, the store's users", bool(made) or not before)


def known(host: Host, name: str) -> str:
    return (host.etc / "secrets" / name).read_text().strip()


def redis_urls(host: Host) -> dict[str, str]:
    """The store's URL of each of its users: web, worker, admin; on a host of workers theirs alone."""
    if host.options.worker_only:
        return {"worker": several.broker(host)}
    return dict(json.loads((host.etc / "secrets" / "redis.users").read_text()))


def database_url(host: Host) -> str:
    """What web and records are given. Debian's own socket knows system users only, so there it is TCP on this host."""
    said = host.options.database
    if said == "sqlite":
        return ""
    if said != "postgresql":
        return said
    admin = urlsplit(host.options.postgres)
    where = unquote(admin.query.partition("host=")[2]) or admin.hostname or "127.0.0.1"
    word = quote(known(host, "database_password"), safe="")
    if where == "/var/run/postgresql" or not where.startswith("/"):
        place = "127.0.0.1" if where.startswith("/") else where
        return f"postgresql://{ROLE}:{word}@{place}:{admin.port or 5432}/{ROLE}"
    return f"postgresql://{ROLE}:{word}@/{ROLE}?host={where}"


ROLE = "arena"
"""The role, and its database."""


def _read(path: object) -> str:
    try:
        return path.read_text()  # type: ignore[attr-defined,no-any-return]
    except OSError:
        return ""
