"""``flask --app web integrity list|judge|release``: what was found against votes, found anew, and overruled."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TypeVar, cast

import click
from flask import current_app
from flask.cli import AppGroup
from sqlalchemy.exc import SQLAlchemyError

from web.admin import votes
from web.admin.tell import refit
from web.context import Arena
from web.errors import ArenaError

T = TypeVar("T")
_BY = "command line"

integrity = AppGroup("integrity", help="Votes and sessions that do not count, and why.")
_JSON = click.option("--json", "as_json", is_flag=True, help="For programs: one JSON value on stdout.")


@integrity.command("list")
@_JSON
def list_(as_json: bool) -> None:
    """Show the sessions that are set apart, latest first: by whom and why."""
    found = _done(lambda arena: arena.db.read(votes.set_apart))
    if as_json:
        click.echo(json.dumps([_plain(voter) for voter in found]))
        return
    if not found:
        click.echo("no session is set apart", err=True)
    for voter in found:
        since = voter.quarantined_at.isoformat(timespec="seconds") if voter.quarantined_at else "-"
        click.echo(f"{voter.owner}  {since}  {voter.votes} votes  {voter.quarantined_by or '-'}: {voter.reason}")


@integrity.command("judge")
@_JSON
def judge(as_json: bool) -> None:
    """Judge the votes of the last weeks together, as the records worker does every night."""
    from web.records.integrity import Integrity  # needs numpy, which the web process does without

    found = _done(lambda arena: Integrity(arena).judge_all())
    refit(_arena())
    told = {"votes": len(found.differ), "set_apart": sorted(found.apart), "released": found.cleared}
    if as_json:
        click.echo(json.dumps(told))
    else:
        click.echo(f"{len(found.differ)} votes judged otherwise; {len(found.apart)} sessions should be apart")


@integrity.command("release")
@click.argument("owner")
@click.argument("reason")
def release(owner: str, reason: str) -> None:
    """Have a session's votes count again; it is not set apart automatically any more."""
    key = _arena().settings.signing_key()
    counted = _done(lambda arena: arena.db.write(lambda s: votes.release(s, _BY, owner, reason[:200], key)))
    refit(_arena())
    click.echo(f"{counted} votes count again")


def _arena() -> Arena:
    return cast(Arena, current_app.extensions["arena"])


def _done(work: Callable[[Arena], T]) -> T:
    """What ``work`` gives; every refusal as one line."""
    try:
        return work(_arena())
    except ArenaError as refused:
        raise click.ClickException(str(refused)) from None
    except SQLAlchemyError as error:
        name = type(error).__name__
        raise click.ClickException(f"the database does not take it ({name}); try: flask --app web migrate") from None


def _plain(voter: votes.Voter) -> dict[str, Any]:
    moments = ("newest_vote_at", "quarantined_at")
    return {**asdict(voter), **{m: at.isoformat() if (at := getattr(voter, m)) else None for m in moments}}
