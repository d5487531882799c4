"""Commands of ``flask --app web``."""

from __future__ import annotations

from typing import cast

import click
from flask import Flask

from web.admin.cli import keys
from web.admin.integrity_cli import integrity
from web.context import Arena
from web.migrate import is_current, newest_revision, upgrade
from web.ratings.cli import export, import_votes
from web.retention import age_limit, purge


def init_app(app: Flask) -> None:
    """Register the commands."""
    app.cli.add_command(keys)
    app.cli.add_command(integrity)
    app.cli.add_command(export)
    app.cli.add_command(import_votes)

    @app.cli.command("migrate")
    def migrate() -> None:
        """Bring the database to the newest revision. Safe to run at every start."""
        arena = cast(Arena, app.extensions["arena"])
        upgrade(arena.db.url)
        if not is_current(arena.db):
            raise click.ClickException("the database is not at the newest revision")
        click.echo(f"database is at revision {newest_revision()}")

    @app.cli.command("purge")
    @click.option("--days", type=click.FloatRange(min=0), help="Instead of ARENA_RETAIN_TEXT_DAYS.")
    def purge_now(days: float | None) -> None:
        """Delete texts that are older than ARENA_RETAIN_TEXT_DAYS, now. Votes stay."""
        arena = cast(Arena, app.extensions["arena"])
        limit = age_limit(arena.settings) if days is None else days
        if limit is None:
            raise click.ClickException("say how old texts may become: set ARENA_RETAIN_TEXT_DAYS, or give --days")
        click.echo(f"deleted: {purge(arena, limit)}")
