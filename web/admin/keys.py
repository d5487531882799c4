"""Keys for programs: made, listed, revoked. The secret is told once; the database has only its digest."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from web.access import SCOPES, digest
from web.admin.log import note
from web.models import ApiKey, now
from web.settings.limits import KEYS_MAY_OVERRIDE

COMMAND_LINE = "command line"
"""Who did it, in the audit log, when no key did."""
NAME_MAX = 80
LIMIT_MAX = 1_000_000_000


class KeyRefused(ValueError):  # noqa: N818 - named for what happened
    """What was asked cannot be; the message is one line for people."""


def create(
    session: Session, name: str, scopes: Iterable[str], limits: Mapping[str, int], by: str = COMMAND_LINE
) -> tuple[ApiKey, str]:
    """A new key and the whole of it, which nobody can tell again. Raises KeyRefused."""
    name = name.strip()
    if not name or len(name) > NAME_MAX or not name.isprintable():
        raise KeyRefused(f"a key's name has 1 to {NAME_MAX} printable characters")
    wanted = [scope for scope in SCOPES if scope in set(scopes)]
    if not wanted:
        raise KeyRefused(f"a key needs at least one scope: {', '.join(SCOPES)}")
    public, secret = secrets.token_hex(6), secrets.token_hex(24)
    token = f"arena_{public}_{secret}"
    made = ApiKey(id=public, name=name, digest=digest(token), scopes=wanted, limits=dict(limits), created_at=now())
    session.add(made)
    note(session, by, "key.create", public, f"{name}: {' '.join(wanted)}"[:200])
    return made, token


def listed(session: Session) -> list[ApiKey]:
    """All there ever were, newest first."""
    return list(session.scalars(select(ApiKey).order_by(ApiKey.created_at.desc(), ApiKey.id)))


def revoke(session: Session, public: str, by: str = COMMAND_LINE) -> ApiKey:
    """Have it open nothing from now on. Raises KeyRefused for one that is unknown or was revoked before."""
    key = session.get(ApiKey, public, with_for_update=True)
    if key is None:
        raise KeyRefused(f"there is no key {public!r}; see: flask --app web keys list")
    if key.revoked_at is not None:
        raise KeyRefused(f"key {public} was revoked at {key.revoked_at.isoformat(timespec='seconds')} already")
    key.revoked_at = now()
    note(session, by, "key.revoke", public, key.name)
    return key


def parsed_limit(text: str) -> tuple[str, int]:
    """``prompts_per_minute=60`` as a pair. Raises KeyRefused."""
    name, equals, value = text.partition("=")
    number = value.strip()
    if not equals or name.strip() not in KEYS_MAY_OVERRIDE or not (number.isascii() and number.isdigit()):
        raise KeyRefused(f"{text!r} is no limit; say NAME=NUMBER, where NAME is one of {', '.join(KEYS_MAY_OVERRIDE)}")
    if len(number) > 10 or int(number) > LIMIT_MAX:
        raise KeyRefused(f"{text!r}: at most {LIMIT_MAX}")
    return name.strip(), int(number)
