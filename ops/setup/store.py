"""Who may do what in the arena's Redis: a user each for web, worker and admin.

What one side does not need it cannot do: neither web nor worker can give the other commands, which travel on channels
of their own, and neither can flush, reconfigure or watch the server, or list its keys. The same rules serve a server of
one's own: ``python -m ops.setup.store`` prints them, with new passwords.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

USERS = ("web", "worker", "admin")
USERS_FILE = "ARENA_REDIS_USERS"
"""Names the file with each user's URL; :mod:`ops.gate` hands a program its own."""

_BROKER = ("unacked*", "_kombu.binding*", "celery*", "battles*", "records*")
_ORDINARY = "+@all -@admin -@dangerous"
RULES = {
    # The records worker is web's: it looks into the broker for what was lost.
    "web": ("arena:*", *_BROKER, "*.arena.records.*"),
    "worker": ("arena:*", *_BROKER, "*.arena.worker.*"),
}
CHANNELS = {
    "web": ("arena:*", "/0.arena.records.pidbox", "/0.celeryev*"),
    "worker": ("arena:*", "/0.arena.worker.pidbox", "/0.celeryev*"),
}
"""Celery's, in database 0; it subscribes by pattern, for which Redis wants the very words that are allowed."""


def passwords() -> dict[str, str]:
    """New ones."""
    return {user: secrets.token_urlsafe(24) for user in USERS}


def acl(known: Mapping[str, str]) -> str:
    """The server's ``aclfile``; it holds digests, no passwords. Nobody gets in without a name."""
    lines = ["user default off resetpass nocommands"]
    for user in USERS:
        rights = f"{_ORDINARY} {_of(user)}" if user in RULES else "~* &* +@all"
        digest = hashlib.sha256(known[user].encode()).hexdigest()
        lines.append(f"user {user} on resetchannels #{digest} {rights}")
    return "\n".join(lines) + "\n"


def _of(user: str) -> str:
    return " ".join([*(f"~{key}" for key in RULES[user]), *(f"&{channel}" for channel in CHANNELS[user])])


def write(folder: Path, socket: Path) -> Path:
    """Make the server's file and the users' (who keep their passwords from start to start); the latter's path."""
    urls = folder / "redis.users"
    try:
        known = {user: _password(url) for user, url in json.loads(urls.read_text()).items()}
    except (OSError, ValueError):
        known = {}
    known = {**passwords(), **{user: word for user, word in known.items() if user in USERS}}
    _private(acl_file(folder), acl(known))
    _private(urls, json.dumps({user: f"unix://{user}:{word}@{socket}?db=0" for user, word in known.items()}))
    _private(folder / "redis-admin.url", f"unix://admin:{known['admin']}@{socket}?db=0")
    return urls


def acl_file(folder: Path) -> Path:
    return folder / "redis.acl"


def _password(url: str) -> str:
    return url.partition("://")[2].partition("@")[0].partition(":")[2]


def _private(file: Path, text: str) -> None:
    """Written whole, and never readable by others, not even for a moment."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(text)
    draft.replace(file)


if __name__ == "__main__":
    made = passwords()
    print(acl(made), end="")
    for name, word in made.items():
        print(f"{name}: redis://{name}:{word}@HOST:6379/0", file=sys.stderr)
