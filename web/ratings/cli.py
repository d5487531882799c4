"""``flask --app web export votes|battles|leaderboard|plots`` and ``import``: open data out, other arenas' votes in."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

import click
from flask import current_app
from flask.cli import with_appcontext
from sqlalchemy import select
from sqlalchemy.orm import Session

from web.context import Arena
from web.models import Battle, Vote, now
from web.queue import QueueError
from web.ratings import exchange, formats
from web.ratings.imports import Imported, parse

if TYPE_CHECKING:
    from web.ratings.method import Columns, Method

_BATCH = 500


@click.group("export")
def export() -> None:
    """Open data: what anybody may have, without texts and without anything that says who somebody is."""


_output = click.option(
    "-o", "--output", type=click.File("wb", lazy=True), default="-", help="Default: standard output."
)
_delay = click.option("--delay-days", type=click.IntRange(min=0), help="Instead of ARENA_EXPORT_DELAY_DAYS.")
_format = click.option("--format", "shape", type=click.Choice([*formats.FORMATS]), default="jsonl", show_default=True)
_texts = click.option("--texts", is_flag=True, help="Prompts and answers too, but for those with somebody's data.")
_pii = click.option("--with-pii", is_flag=True, help="With --texts: even those.")


@export.command("votes")
@_format
@_texts
@_pii
@_delay
@_output
@with_appcontext
def export_votes(shape: str, texts: bool, with_pii: bool, delay_days: int | None, output: IO[bytes]) -> None:
    """All votes before the delay, those that do not count too, with the reasons."""
    _export("votes", shape, texts, with_pii, delay_days, output)


@export.command("battles")
@_format
@_texts
@_pii
@_delay
@_output
@with_appcontext
def export_battles(shape: str, texts: bool, with_pii: bool, delay_days: int | None, output: IO[bytes]) -> None:
    """All battles before the delay that are voted or over, also those that failed."""
    _export("battles", shape, texts, with_pii, delay_days, output)


@export.command("leaderboard")
@click.option("--board", default="overall", show_default=True)
@click.option(
    "--json", "shape", flag_value="json", default=True, help="As `python -m web.ratings --json`; the default."
)
@click.option("--csv", "shape", flag_value="csv")
@click.option("--parquet", "shape", flag_value="parquet")
@_delay
@_output
@with_appcontext
def export_leaderboard(board: str, shape: str, delay_days: int | None, output: IO[bytes]) -> None:
    """The leaderboard of the votes that `export votes` writes: the bytes `python -m web.ratings` makes of them."""
    from web.ratings import output as shown
    from web.ratings.method import board as fitted

    method, votes = _published(board, delay_days)
    rows = shown.plain(fitted(votes, method))
    if shape == "json":
        _write(output, [shown.as_json(rows).encode()])
    else:
        _write(output, _written(shape, rows, shown.COLUMNS))


@export.command("plots")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--board", default="overall", show_default=True)
@click.option("--format", "shapes", type=click.Choice(["svg", "png"]), multiple=True, default=("svg",))
@_delay
@with_appcontext
def export_plots(folder: Path, board: str, shapes: tuple[str, ...], delay_days: int | None) -> None:
    """Pictures of the same leaderboard: ratings, who beats whom, who met whom, and its history as stored."""
    from web.arena.board import read_history
    from web.arena.catalogue import known
    from web.ratings import plots

    method, votes = _published(board, delay_days)
    arena = _arena()
    moments = arena.db.read(lambda s: read_history(s, board, plots.MOMENTS))
    names = arena.db.read(lambda s: known(s, arena.catalog, votes.models))
    drawn = plots.drawn(votes, method, {model: of.name for model, of in names.items()}, moments)
    try:
        for file in plots.write(folder, drawn, shapes):
            click.echo(file)
    except plots.CannotDraw as error:
        raise click.ClickException(str(error)) from None


def _export(kind: exchange.Kind, shape: str, texts: bool, pii: bool, delay_days: int | None, output: IO[bytes]) -> None:
    if pii and not texts:
        raise click.ClickException("--with-pii is about texts; give --texts too")
    arena = _arena()
    wanted = exchange.Wanted(kind, _before(delay_days), texts, pii)
    _write(output, _written(shape, exchange.read(arena.db, arena.settings.export_salting(), wanted), wanted.columns))


def _written(shape: str, rows: Iterable[formats.Row], columns: Iterable[str]) -> Iterable[bytes]:
    try:
        return formats.written(shape, rows, columns)
    except formats.NotInstalled as error:
        raise click.ClickException(str(error)) from None


def _published(board: str, delay_days: int | None) -> tuple[Method, Columns]:
    from web.ratings import files
    from web.ratings.board import make_method

    arena = _arena()
    wanted = exchange.Wanted("votes", _before(delay_days))
    rows = exchange.read(arena.db, arena.settings.export_salting(), wanted)
    return (
        replace(make_method(arena.settings), style=board == "style_control"),
        files.columns(enumerate(rows, 1), board),
    )


def _before(delay_days: int | None) -> datetime:
    return exchange.cutoff(now(), _arena().settings.export_delay_days if delay_days is None else delay_days)


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


def _write(output: IO[bytes], pieces: Iterable[bytes]) -> None:
    try:
        for piece in pieces:
            output.write(piece)
        output.flush()
    except BrokenPipeError:  # somebody piped us into head
        sys.stderr.close()


def _arena() -> Arena:
    return cast(Arena, current_app.extensions["arena"])
