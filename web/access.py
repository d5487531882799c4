"""Who is asking, and what they may: a browser's anonymous session, or a program's key with its scopes.

Both are an ``owner`` to the rest of the web side: battles belong to one, votes are cast by one. A key is given as
``Authorization: Bearer arena_<id>_<secret>``; a browser cannot be made to send that from a stranger's page, so the
checks against such pages are for sessions only.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Any

from flask import g, request

from web.context import Arena, arena
from web.errors import BadKey, KeyNeeded, ScopeMissing
from web.models import ApiKey

SCOPES = ("chat", "battle", "admin", "export")
ENVIRONMENT = "environment"
"""Id of the key that ``ARENA_ADMIN_KEY`` is: an operator's first, before any is in the database."""


@dataclass(frozen=True, slots=True)
class Key:
    """A valid key. ``limits``: what is different for it, by the limit's name (see ``web.limits``)."""

    id: str
    name: str
    scopes: frozenset[str]
    limits: dict[str, Any] = field(default_factory=dict)

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
        g.key = None if given is None else _known(arena(), given)
    key: Key | None = g.key
    return key


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


def _known(context: Arena, token: str) -> Key:
    admin = context.settings.admin_key
    if admin is not None and hmac.compare_digest(token.encode(), admin.get_secret_value().encode()):
        return Key(ENVIRONMENT, ENVIRONMENT, frozenset(SCOPES))
    prefix, _, rest = token.partition("_")
    public, _, secret = rest.partition("_")
    if prefix != "arena" or not public or not secret or len(token) > 200 or not token.isascii():
        raise BadKey()
    stored = context.db.read(lambda s: s.get(ApiKey, public))
    if stored is None or stored.revoked_at is not None or not hmac.compare_digest(stored.digest, digest(token)):
        raise BadKey()
    return Key(stored.id, stored.name, frozenset(stored.scopes), dict(stored.limits))
