"""Who may use ``/v1``: a key with scope ``chat``; on the private listener anybody, where ``ARENA_V1_OPEN`` says so.

Clients written for OpenAI's API always send a key, even where none is asked for; at the open listener a word that is
no key of ours is therefore no offence.
"""

from __future__ import annotations

import hashlib

from flask import Flask, g, request

from web.access import current_key, require
from web.context import arena
from web.errors import BadKey
from web.security import client_address, on_private_listener
from web.settings import WebSettings

SCOPE = "chat"


def init_app(app: Flask, settings: WebSettings) -> None:
    """To be called before anything that looks at a request's key."""
    if not settings.v1_open:
        return

    @app.before_request
    def forgive() -> None:
        if request.path.startswith("/v1/") and on_private_listener(request, settings):
            try:
                current_key()
            except BadKey:
                g.key = None


def caller() -> str:
    """The owner hash of who is asking, to share engines fairly by. Raises KeyNeeded, BadKey or ScopeMissing."""
    settings = arena().settings
    if settings.v1_open and on_private_listener(request, settings):
        key = current_key()
        if key is None:
            return hashlib.sha256(f"listener:{client_address(request, settings)}".encode()).hexdigest()
        return key.owner
    return require(SCOPE).owner
