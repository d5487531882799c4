"""The web side: REST, websockets, pages, and in ``web.records`` the worker that writes what became of battles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from apiflask import APIFlask

    from web.settings import WebSettings


def create_app(settings: WebSettings | None = None) -> APIFlask:
    """The web application. Connects to nothing until the first request.

    Raises CatalogError or pydantic.ValidationError when it is told nonsense.
    """
    # Imported here, so that the records worker, which needs none of this, does not load it.
    from web import api, cli, errors, live, pages, security
    from web.context import build_arena
    from web.openapi.app import make_app
    from web.queue import Queue, make_celery
    from web.settings import WebSettings

    settings = settings or WebSettings.from_env()
    app = make_app()
    app.config["MAX_CONTENT_LENGTH"] = body_limit(settings)
    app.extensions["arena"] = arena = build_arena(settings, Queue(make_celery(settings, "web")))

    errors.init_app(app)
    security.init_app(app, settings)
    for blueprint in api.blueprints():
        app.register_blueprint(blueprint)
    app.register_blueprint(pages.pages)
    live.init_app(app, arena)
    cli.init_app(app)
    return app


def body_limit(settings: Any) -> int:
    """Bytes a request body may have: the longest prompt in JSON's longest spelling, and some room."""
    return int(settings.prompt_max_chars) * 12 + 4096
