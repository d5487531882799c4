"""The web side: REST, websockets, pages, and in ``web.records`` the worker that writes what became of battles."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from apiflask import APIFlask

    from web.settings import WebSettings


def create_app(settings: WebSettings | None = None) -> APIFlask:
    """The web application. Connects to nothing until the first request.

    Raises CatalogError, ModerationError, TracingMissingError or Misconfigured when it is told nonsense.
    """
    # Imported here, so that the records worker, which needs none of this, does not load it.
    from web import (
        access,
        api,
        bounds,
        challenge,
        cli,
        docs,
        idempotency,
        language,
        limits,
        live,
        metrics,
        moderation,
        openai,
        pages,
        production,
        refusing,
        security,
        tracking,
    )
    from web.admin import operators
    from web.context import build_arena
    from web.openapi.app import make_app
    from web.queue import Queue, make_celery
    from worker.contract import tracing

    settings = settings or production.load()
    production.check(settings)
    app = make_app()
    app.extensions["arena"] = arena = build_arena(settings, Queue(make_celery(settings, "web")))

    app.extensions[metrics.EXTENSION] = series = metrics.Metrics(arena.redis, lambda: arena.catalogs.refused)
    moderation.judge_of(settings)
    tracing.install("llm-arena-web", settings.otel_endpoint)

    tracking.init_app(app, settings, series)
    refusing.init_app(app)
    language.init_app(app)
    openai.init_app(app, settings)
    limits.init_app(app, settings)
    access.init_app(app)
    security.init_app(app, settings)
    operators.init_app(app, settings)
    bounds.init_app(app, settings)
    idempotency.init_app(app)
    challenge.init_app(app, settings, arena.redis)
    for blueprint in api.blueprints():
        app.register_blueprint(blueprint)
    app.register_blueprint(pages.pages)
    app.register_blueprint(docs.bp)
    live.init_app(app, arena, series.lines)
    openai.begin(app)
    cli.init_app(app)
    return app
