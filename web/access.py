"""Who is asking, and what they may: a browser's anonymous session, or a program's key with its scopes.

Both are an ``owner`` to the rest of the web side: battles belong to one, votes are cast by one. A key is given as
``Authorization: Bearer arena_<id>_<secret>``; a browser cannot be made to send that from a stranger's page, so the
checks against such pages are for sessions only.

A key is looked up at every request, so that one which was revoked opens nothing from then on.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from flask import Flask, g, request
from sqlalchemy import or_, update
from sqlalchemy.exc import SQLAlchemyError

from web.context import Arena, arena
from web.errors import BadKey, KeyNeeded, ScopeMissing
from web.models import ApiKey, now

log = logging.getLogger(__name__)

SCOPES = ("chat", "battle", "admin", "export")
ENVIRONMENT = "environment"
"""Id of the key that ``ARENA_ADMIN_KEY`` is: an operator's first, before any is in the database."""
USED_EVERY = timedelta(hours=1)
"""How far ``last_used_at`` may lag behind: a write per request would cost more than it tells."""
NEEDED = {"/api/battles": "battle", "/api/batches": "battle", "/ws": "battle"}
"""Paths below which a key, if there is one, must have this scope; sessions need none."""


@dataclass(frozen=True, slots=True)
class Key:
    """A valid key. ``limits``: what is different for it, by the limit's name (see ``web.limits``).

    ``mark`` changes with the secret, and tells nothing of it.
    """

    id: str
    name: str
    scopes: frozenset[str]
    limits: dict[str, Any] = field(default_factory=dict)
    mark: str = ""

    @property
    def owner(self) -> str:
        """The owner hash of what is done with it."""
        return hashlib.sha256(f"key:{self.id}".encode()).hexdigest()


def digest(secret: str) -> str:
    """What the database keeps of a whole key; it has too many random bits to be guessed, so a plain hash will do."""
    return hashlib.sha256(secret.encode()).hexdigest()


def current_key() -> Key | None:
    """The key this request came with, None when it came with none. Raises BadKey for one that opens nothing."""
    if "key" not in g:
        given = _given()
        g.key = None if given is None else key_of(arena(), given)
    key: Key | None = g.key
    return key


def current_key_id() -> str | None:
    """The id of the asker's key, if a key asks. Raises BadKey."""
    key = current_key()
    return None if key is None else key.id


def has_scope(scope: str) -> bool:
    """Whether the asker's key has ``scope``. Raises BadKey."""
    key = current_key()
    return key is not None and scope in key.scopes


def require(scope: str) -> Key:
    """The asker's key, which has ``scope``. Raises KeyNeeded, BadKey or ScopeMissing."""
    key = current_key()
    if key is None:
        raise KeyNeeded(f"This needs a key with scope {scope}: Authorization: Bearer arena_...", scope=scope)
    if scope not in key.scopes:
        raise ScopeMissing(f"This key lacks scope {scope}.", scope=scope)
    return key


def _given() -> str | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    token = token.strip()
    return token if scheme.lower() == "bearer" and token else None


def key_of(context: Arena, token: str) -> Key:
    """The key that ``token`` is. Raises BadKey."""
    admin = context.settings.admin_key
    if admin is not None and hmac.compare_digest(token.encode(), admin.get_secret_value().encode()):
        return _of_environment(token)
    prefix, _, rest = token.partition("_")
    public, _, secret = rest.partition("_")
    if prefix != "arena" or not public or not secret or len(token) > 200 or not token.isascii():
        raise BadKey()
    stored = context.db.read(lambda s: s.get(ApiKey, public))
    if stored is None or stored.revoked_at is not None or not hmac.compare_digest(stored.digest, digest(token)):
        raise BadKey()
    _touch(context, stored)
    return _key(stored)


def key_by_id(context: Arena, public: str) -> Key | None:
    """The key with this id as long as it is valid: for those who showed its secret before."""
    if public == ENVIRONMENT:
        admin = context.settings.admin_key
        return None if admin is None else _of_environment(admin.get_secret_value())
    stored = context.db.read(lambda s: s.get(ApiKey, public))
    if stored is None or stored.revoked_at is not None:
        return None
    _touch(context, stored)
    return _key(stored)


def _of_environment(token: str) -> Key:
    return Key(ENVIRONMENT, ENVIRONMENT, frozenset(SCOPES), mark=_mark(digest(token)))


def _key(stored: ApiKey) -> Key:
    return Key(stored.id, stored.name, frozenset(stored.scopes), dict(stored.limits), _mark(stored.digest))


def _mark(digested: str) -> str:
    return hashlib.sha256(f"mark:{digested}".encode()).hexdigest()[:16]


def _touch(context: Arena, stored: ApiKey) -> None:
    """Note that it was used. Not worth a failed request when the database cannot be written now."""
    at = now()
    if not _stale(stored.last_used_at, at):
        return
    old = or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < at - USED_EVERY)
    change = update(ApiKey).where(ApiKey.id == stored.id, old).values(last_used_at=at)
    try:
        context.db.write(lambda s: s.execute(change.execution_options(synchronize_session=False)))
    except SQLAlchemyError as error:
        log.warning("the use of key %s is not noted: %s", stored.id, type(error).__name__)


def _stale(used: datetime | None, at: datetime) -> bool:
    return used is None or used < at - USED_EVERY


def init_app(app: Flask) -> None:
    """Have keys without the scope of what they ask for refused, before anything is read of the request."""

    @app.before_request
    def check_scope() -> None:
        path = request.path
        for below, scope in NEEDED.items():
            if (path == below or path.startswith(below + "/")) and current_key() is not None:
                require(scope)
