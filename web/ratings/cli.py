"""``flask --app web export votes|leaderboard`` and ``import``: open data out, other arenas' votes in."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

import click
from flask import current_app
from flask.cli import with_appcontext
from sqlalchemy import select
from sqlalchemy.orm import Session

from web.context import Arena
from web.models import Battle, Vote, now
from web.queue import QueueError
from web.ratings import exchange
from web.ratings.imports import Imported, parse

_BATCH = 500


@click.group("export")
def export() -> None:
    """Open data: what anybody may have, without texts and without anything that says who somebody is."""


_output = click.option(
    "-o", "--output", type=click.File("wb", lazy=True), default="-", help="Default: standard output."
)
_delay = click.option("--delay-days", type=click.IntRange(min=0), help="Instead of ARENA_EXPORT_DELAY_DAYS.")


@export.command("votes")
@click.option("--format", "shape", type=click.Choice(["jsonl", "csv"]), default="jsonl", show_default=True)
@_delay
@_output
@with_appcontext
def export_votes(shape: str, delay_days: int | None, output: IO[bytes]) -> None:
    """All votes before the delay, those that do not count too, with the reasons."""
    rows = _rows(delay_days)
    _write(output, exchange.as_csv(rows) if shape == "csv" else exchange.as_jsonl(rows))


@export.command("leaderboard")
@click.option("--board", default="overall", show_default=True)
@click.option(
    "--json", "shape", flag_value="json", default=True, help="As `python -m web.ratings --json`; the default."
)
@click.option("--csv", "shape", flag_value="csv")
@_delay
@_output
@with_appcontext
def export_leaderboard(board: str, shape: str, delay_days: int | None, output: IO[bytes]) -> None:
    """The leaderboard of the votes that `export votes` writes: the bytes `python -m web.ratings` makes of them."""
    from web.ratings import files
    from web.ratings import output as shown
    from web.ratings.board import make_method
    from web.ratings.method import board as fitted

    votes = files.columns(enumerate(_rows(delay_days), 1), board)
    method = replace(make_method(_arena().settings), style=board == "style_control")
    rows = shown.plain(fitted(votes, method))
    if shape == "csv":
        _write(output, exchange.as_csv(rows, shown.COLUMNS))
    else:
        _write(output, [shown.as_json(rows).encode()])


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--source", required=True, help="Where they come from; a word that votes and battles keep.")
@click.option("--dry-run", is_flag=True, help="Read and count, store nothing.")
@with_appcontext
def import_votes(file: Path, source: str, dry_run: bool) -> None:
    """Votes of FastChat, LMArena or another of these arenas. Running it again stores only what is new."""
    if not source.isidentifier() or len(source) > 20:
        raise click.ClickException("--source: letters, digits and _, at most 20 of them")
    votes, skipped = _parsed(file)
    stored = 0
    for begin in range(0, 0 if dry_run else len(votes), _BATCH):
        batch = votes[begin : begin + _BATCH]
        stored += _arena().db.write(partial(_store, votes=batch, source=source))
    if stored:
        try:
            _arena().queue.refresh_ratings()
        except QueueError:
            click.echo("the leaderboard will learn of them with the next vote: the broker does not answer", err=True)
    click.echo(f"read {len(votes)}, stored {stored}, not blind {skipped}")


def _parsed(file: Path) -> tuple[list[Imported], int]:
    from web.ratings.files import BadVotes, rows

    votes: list[Imported] = []
    skipped = 0
    try:
        with file.open("rb") as opened:
            for line, row in rows(opened):
                try:
                    vote = parse(row, line)
                except ValueError as error:
                    raise BadVotes(f"line {line}: {error}") from None
                if vote is None:
                    skipped += 1
                else:
                    votes.append(vote)
    except BadVotes as error:
        raise click.ClickException(f"{file}: {error}") from None
    return votes, skipped


def _store(session: Session, votes: Iterable[Imported], source: str) -> int:
    fresh = {f"{source}-{vote.key}"[:40]: vote for vote in votes}
    known = set(session.scalars(select(Battle.id).where(Battle.id.in_(fresh))))
    missing = {key: vote for key, vote in fresh.items() if key not in known}
    for key, vote in missing.items():
        session.add(_battle(key, vote, source))
    session.flush()
    for key, vote in missing.items():
        session.add(
            Vote(
                battle_id=key,
                owner=_owner(key, vote, source),
                winner=vote.winner,
                model_a=vote.model_a,
                model_b=vote.model_b,
                counted=vote.counted,
                reasons=[] if vote.counted else ["imported"],
                features=vote.features,
                created_at=vote.at or now(),
            )
        )
    return len(missing)


def _battle(key: str, vote: Imported, source: str) -> Battle:
    at = vote.at or now()
    return Battle(
        id=key,
        owner=_owner(key, vote, source),
        state="finished",
        votable=True,
        model_a=vote.model_a,
        model_b=vote.model_b,
        probability=1.0,
        policy_version=f"import:{source}",
        turns=vote.turns,
        created_at=at,
        finished_at=at,
        voted_at=at,
    )


def _owner(key: str, vote: Imported, source: str) -> str:
    """Nobody's session here; the same for all votes of one voter, and each his own when voters are not known."""
    return hashlib.sha256(f"import:{source}:{vote.voter or key}".encode(errors="replace")).hexdigest()


def _rows(delay_days: int | None) -> list[dict[str, Any]]:
    arena = _arena()
    days = arena.settings.export_delay_days if delay_days is None else delay_days
    before = now() if days == 0 else exchange.cutoff(now(), days)
    return arena.db.read(lambda s: exchange.read_rows(s, arena.settings.export_salting(), before))


def _write(output: IO[bytes], pieces: Iterable[bytes]) -> None:
    try:
        for piece in pieces:
            output.write(piece)
        output.flush()
    except BrokenPipeError:  # somebody piped us into head
        sys.stderr.close()


def _arena() -> Arena:
    return cast(Arena, current_app.extensions["arena"])
