"""Who is asking, from where, and what a browser may do with our replies.

A voter is an anonymous session: a random id in a signed cookie, of which the database only ever sees a hash. The cookie
is SameSite=Lax (and ``__Host-`` behind TLS, so that no other name of the same domain can set it), and every write made
with it must also come from our own pages: browsers say so themselves in ``Origin`` or ``Sec-Fetch-Site``, old ones at
least in ``Referer``, and something that sends none of them is no browser that a stranger's page could abuse.
"""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flask import Flask, Request, Response, current_app, g, request
from itsdangerous import BadSignature, URLSafeTimedSerializer
from werkzeug.datastructures import Headers

from web.access import current_key, has_scope
from web.context import arena
from web.errors import CrossOrigin, UnknownHost
from web.settings import WebSettings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

COOKIE = "arena_session"
TLS_PREFIX = "__Host-"
"""Before the cookie's name behind TLS: browsers then take it from this very host only, over TLS only."""
COOKIE_MAX_AGE_S = 365 * 24 * 3600

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
HSTS = "max-age=31536000"
_SAFE = ("GET", "HEAD", "OPTIONS")
_PROBES = ("/health", "/ready", "/metrics")
"""Balancers and scrapers ask a machine, not a name."""
_SESSION_PAGES = ("pages.home", "pages.battle")
"""Pages that begin a session, so that the first battle and its socket already have one."""


class Sessions:
    """Makes and reads the cookie's value."""

    def __init__(self, key: str) -> None:
        digest = {"digest_method": hashlib.sha256}
        self._signer = URLSafeTimedSerializer(key, salt="arena-session", signer_kwargs=digest)

    def issue(self) -> tuple[str, str]:
        """A new session: ``(cookie value, owner hash)``."""
        session = secrets.token_urlsafe(24)
        return str(self._signer.dumps(session)), owner_hash(session)

    def owner(self, cookie: str | None) -> str | None:
        """The owner hash of a cookie we signed and that has not expired; None otherwise."""
        if not cookie:
            return None
        try:
            session = self._signer.loads(cookie, max_age=COOKIE_MAX_AGE_S)
        except BadSignature:
            return None
        return owner_hash(session) if isinstance(session, str) else None


def owner_hash(session: str) -> str:
    """What the database knows of a session; the id itself has 192 random bits, so a plain hash hides it."""
    return hashlib.sha256(session.encode()).hexdigest()


def sessions() -> Sessions:
    """The current app's."""
    found: Sessions = current_app.extensions["arena_sessions"]
    return found


def cookie_name() -> str:
    """What this request's session cookie is called."""
    return TLS_PREFIX + COOKIE if request.is_secure else COOKIE


def current_owner() -> str | None:
    """The owner hash of the asking key or session, or None when it has neither. Raises BadKey."""
    if "owner" not in g:
        key = current_key()
        g.owner = sessions().owner(request.cookies.get(cookie_name())) if key is None else key.owner
    owner: str | None = g.owner
    return owner


def ensure_owner() -> str:
    """The asking key's or session's owner hash; without either a session begins, whose cookie the reply sets."""
    owner = current_owner()
    if owner is None:
        g.new_cookie, owner = sessions().issue()
        g.owner = owner
    return owner


def same_site(headers: Headers, host: str, allowed: Iterable[str], secure: bool = False) -> bool:
    """Whether a request that uses cookies may be believed: it comes from our own pages, or from no page at all.

    ``secure``: it reached us over TLS, so that a page without TLS, which anybody on the way could have written, is none
    of ours.
    """
    origin = headers.get("Origin")
    if origin is not None:
        return origin in allowed or _is_ours(origin, host, secure)
    site = headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in ("same-origin", "none")
    referer = headers.get("Referer")
    return referer is None or _is_ours(referer, host, secure) or _origin_of(referer) in allowed


def _is_ours(address: str, host: str, secure: bool) -> bool:
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return parts.netloc == host and parts.scheme in (("https",) if secure else ("http", "https"))


def _origin_of(address: str) -> str:
    try:
        parts = urlsplit(address)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc}"


def from_our_pages(req: Request, settings: WebSettings) -> bool:
    """:func:`same_site` of a request."""
    return same_site(req.headers, req.host, settings.origins, req.is_secure)


def believed() -> bool:
    """Whether what this request's cookie says may be acted on: it only reads, has a key, or is from our own pages."""
    if "believed" not in g:
        with_key = request.headers.get("Authorization", "").lower().startswith("bearer ")
        g.believed = request.method in _SAFE or with_key or from_our_pages(request, arena().settings)
    found: bool = g.believed
    return found


def client_address(req: Request, settings: WebSettings) -> str:
    """Where a request comes from: the peer, or whom a trusted proxy names.

    ``X-Forwarded-For`` is read from its end, past our own proxies: the first other address is the one that the
    outermost of them saw itself, and whatever stands before it anybody could have written.
    """
    peer = req.environ.get("REMOTE_ADDR") or ""
    named = [a.strip() for a in req.headers.get("X-Forwarded-For", "").split(",") if a.strip()]
    while named and _is_trusted(peer, settings):
        peer = named.pop()
    return peer


def from_trusted_proxy(req: Request, settings: WebSettings) -> bool:
    """Whether a proxy of ours handed this request over, so that what it says of the request may be believed."""
    return _is_trusted(req.environ.get("REMOTE_ADDR") or "", settings)


class Scheme:
    """WSGI: ``https`` when one of our own proxies says that the client came to it over TLS, whatever others claim."""

    def __init__(self, app: WSGIApplication, settings: WebSettings) -> None:
        self._app = app
        self._settings = settings

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        said = environ.get("HTTP_X_FORWARDED_PROTO")
        if said and _is_trusted(environ.get("REMOTE_ADDR") or "", self._settings):
            environ["wsgi.url_scheme"] = "https" if said.rpartition(",")[2].strip().lower() == "https" else "http"
        return self._app(environ, start_response)


def _is_trusted(address: str, settings: WebSettings) -> bool:
    """A peer without an address is a proxy on our own unix socket."""
    if not settings.trusted_proxies:
        return False
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address == ""
    return any(ip in network for network in settings.trusted_proxies)


def is_private(req: Request, settings: WebSettings) -> bool:
    """Whether the asker may know which models are loaded: came in by the private listener, or has a key for it.

    The port is the accepted socket's own: behind a unix socket ``SERVER_PORT`` only repeats the Host header.
    """
    return on_private_listener(req, settings) or has_scope("admin")


def on_private_listener(req: Request, settings: WebSettings) -> bool:
    """Whether the request came in on ``ARENA_PRIVATE_PORT``."""
    port = settings.private_listener
    return port is not None and _local_port(req.environ) == port


def _local_port(environ: Mapping[str, Any]) -> int | None:
    sock = environ.get("gunicorn.socket") or environ.get("werkzeug.socket")
    if sock is None:
        return None
    name = sock.getsockname()
    return name[1] if isinstance(name, tuple) else None


def init_app(app: Flask, settings: WebSettings) -> None:
    """Register the checks before and the headers after every request."""
    app.extensions["arena_sessions"] = Sessions(settings.signing_key())
    app.wsgi_app = Scheme(app.wsgi_app, settings)  # type: ignore[method-assign]

    @app.before_request
    def check_host() -> None:
        if settings.hosts and request.host.lower() not in settings.hosts and request.path not in _PROBES:
            raise UnknownHost("Ask for this arena by its own name.")

    @app.before_request
    def check_write() -> None:
        if request.method not in _SAFE and current_key() is None and not believed():
            raise CrossOrigin()

    @app.after_request
    def finish(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if request.is_secure:
            response.headers.setdefault("Strict-Transport-Security", HSTS)
        if request.path.startswith("/api/") or request.path in ("/health", "/ready"):
            response.headers.setdefault("Cache-Control", "no-store")
        if request.endpoint in _SESSION_PAGES and response.status_code == 200:
            ensure_owner()
        if "new_cookie" in g:
            response.set_cookie(
                cookie_name(),
                g.new_cookie,
                max_age=COOKIE_MAX_AGE_S,
                httponly=True,
                samesite="Lax",
                secure=request.is_secure,
                path="/",
            )
        return response
