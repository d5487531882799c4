"""Who asks as an operator: a program with its key, or a browser that showed one.

The page keeps no key: ``POST /api/admin/session`` trades it for a signed cookie that scripts cannot read, that goes to
``/api/admin`` alone and to no request which another site began, and that an EventSource sends by itself. The cookie
names the key and not its secret; the key is looked up at every request, so revoking it signs everybody out at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Flask, Response, current_app, g, request
from itsdangerous import BadSignature, URLSafeTimedSerializer
from sqlalchemy.exc import SQLAlchemyError

from web.access import Key, current_key, key_by_id, key_of, require
from web.admin.errors import NotSignedIn
from web.context import Arena, arena
from web.errors import CrossOrigin, ScopeMissing
from web.security import same_site
from web.settings import WebSettings

COOKIE = "arena_operator"
TLS_PREFIX = "__Secure-"
"""Before the cookie's name behind TLS: nobody who can only speak in plain text to this host can plant one."""
PATH = "/api/admin"
SIGNED_IN_S = 12 * 3600
SCOPE = "admin"
_SALT = "arena-operator"


def init_app(app: Flask, settings: WebSettings) -> None:
    """Have a signer of these cookies."""
    digest = {"digest_method": hashlib.sha256}
    app.extensions["arena_operators"] = URLSafeTimedSerializer(settings.signing_key(), salt=_SALT, signer_kwargs=digest)


def operator() -> Key:
    """The asking operator's key. Raises NotSignedIn, BadKey, ScopeMissing; CrossOrigin for a cookie from elsewhere."""
    if "operator" not in g:
        g.operator = require(SCOPE) if current_key() is not None else _from_cookie(arena())
    key: Key = g.operator
    return key


def guard(blueprint: Blueprint, *open_to_all: str) -> None:
    """Have every view of a blueprint asked for by operators alone, before anything of the request is looked at."""

    @blueprint.before_request
    def check() -> None:
        if request.endpoint not in {f"{blueprint.name}.{view}" for view in open_to_all}:
            operator()


def sign_in(context: Arena, token: str) -> tuple[Key, str]:
    """The key and the cookie's value. Raises BadKey or ScopeMissing."""
    key = key_of(context, token)
    if SCOPE not in key.scopes:
        raise ScopeMissing(f"This key lacks scope {SCOPE}.", scope=SCOPE)
    return key, str(_signer().dumps([key.id, key.mark]))


def remember(response: Response, value: str) -> None:
    """Set the cookie."""
    response.set_cookie(
        _cookie_name(),
        value,
        max_age=SIGNED_IN_S,
        path=PATH,
        httponly=True,
        samesite="Strict",
        secure=request.is_secure,
    )


def forget(response: Response) -> None:
    """Take the cookie back."""
    response.delete_cookie(_cookie_name(), path=PATH, httponly=True, samesite="Strict", secure=request.is_secure)


def validity(context: Arena, key: Key) -> Callable[[], bool]:
    """Whether a key that was valid when a stream began still is; a database that is away changes nothing."""

    def still() -> bool:
        try:
            known = key_by_id(context, key.id)
        except SQLAlchemyError:
            return True
        return known is not None and known.mark == key.mark and SCOPE in known.scopes

    return still


def _from_cookie(context: Arena) -> Key:
    value = request.cookies.get(_cookie_name())
    if not value:
        raise NotSignedIn("Authorization: Bearer arena_..., or sign in at /operator.", scope=SCOPE)
    if not same_site(request.headers, request.host, context.settings.origins):
        raise CrossOrigin()
    try:
        told: Any = _signer().loads(value, max_age=SIGNED_IN_S)
        public, mark = told
    except (BadSignature, ValueError, TypeError):
        raise NotSignedIn(scope=SCOPE) from None
    key = key_by_id(context, public) if isinstance(public, str) else None
    if key is None or key.mark != mark or SCOPE not in key.scopes:
        raise NotSignedIn("The key you signed in with opens nothing any more.", scope=SCOPE)
    return key


def _cookie_name() -> str:
    return TLS_PREFIX + COOKIE if request.is_secure else COOKIE


def _signer() -> URLSafeTimedSerializer:
    found: URLSafeTimedSerializer = current_app.extensions["arena_operators"]
    return found
