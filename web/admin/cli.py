"""``flask --app web keys create|list|revoke``: how an operator gets a first key, and gives others theirs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar, cast

import click
from flask import current_app
from flask.cli import AppGroup
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from web.access import SCOPES
from web.admin import keys as store
from web.admin.keys import KeyRefused
from web.context import Arena
from web.models import ApiKey
from worker.contract import watch

T = TypeVar("T")

_JSON = click.option("--json", "as_json", is_flag=True, help="For programs: one JSON value on stdout.")


keys = AppGroup("keys", help="Keys for programs, and for operators (scope admin).")


@keys.command("create")
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, type=click.Choice(SCOPES), required=True, help="May be repeated.")
@click.option("--limit", "limits", multiple=True, metavar="NAME=NUMBER", help="For this key alone; may be repeated.")
@_JSON
def create(name: str, scopes: tuple[str, ...], limits: tuple[str, ...], as_json: bool) -> None:
    """Make a key and show it, once: only a digest of it is kept."""

    def work(session: Session) -> tuple[ApiKey, str]:
        return store.create(session, name, scopes, dict(store.parsed_limit(limit) for limit in limits))

    made, token = _stored(lambda arena: arena.db.write(work))
    if as_json:
        click.echo(json.dumps({**_plain(made), "key": token}))
        return
    click.echo(token)
    click.echo(f"key {made.id} ({made.name}) opens {', '.join(made.scopes)}; it is shown this once", err=True)


@keys.command("list")
@_JSON
def list_(as_json: bool) -> None:
    """Show every key without its secret, newest first."""
    found = _stored(lambda arena: arena.db.read(store.listed))
    if as_json:
        click.echo(json.dumps([_plain(key) for key in found]))
        return
    if not found:
        click.echo("no keys; make one: flask --app web keys create NAME --scope admin", err=True)
        return
    rows = [("ID", "NAME", "SCOPES", "LIMITS", "CREATED", "USED", "REVOKED"), *map(_row, found)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@keys.command("revoke")
@click.argument("key_id", metavar="ID")
@_JSON
def revoke(key_id: str, as_json: bool) -> None:
    """Have a key open nothing from now on."""
    gone = _stored(lambda arena: arena.db.write(lambda s: store.revoke(s, key_id)))
    try:  # streams that are open with it end now, and not only at their next heartbeat
        watch.tell_revoked(_arena().redis, gone.id)
    except RedisError:
        click.echo("Redis does not answer: a stream that is open with this key ends within 15 s", err=True)
    click.echo(json.dumps(_plain(gone)) if as_json else f"key {gone.id} ({gone.name}) is revoked")


def _arena() -> Arena:
    return cast(Arena, current_app.extensions["arena"])


def _stored(work: Callable[[Arena], T]) -> T:
    """What ``work`` gives; every refusal as one line."""
    try:
        return work(_arena())
    except KeyRefused as refused:
        raise click.ClickException(str(refused)) from None
    except SQLAlchemyError as error:
        name = type(error).__name__
        raise click.ClickException(f"the database does not take it ({name}); try: flask --app web migrate") from None


def _plain(key: ApiKey) -> dict[str, Any]:
    moments = ("created_at", "last_used_at", "revoked_at")
    return {
        "id": key.id,
        "name": key.name,
        "scopes": key.scopes,
        "limits": key.limits,
        **{m: at.isoformat(timespec="seconds") if (at := getattr(key, m)) else None for m in moments},
    }


def _row(key: ApiKey) -> tuple[str, ...]:
    told = _plain(key)
    limits = ", ".join(f"{name}={number}" for name, number in key.limits.items())
    dates = (told["created_at"], told["last_used_at"] or "never", told["revoked_at"] or "-")
    return (key.id, key.name, " ".join(key.scopes), limits or "-", *dates)
