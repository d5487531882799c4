"""Leaderboards of made-up models and votes, served: what a board looks like after months, and before its first vote.

The votes are invented, the rest is real: they are stored, fitted and shown as any others. Swept for accessibility and
pictured (see :mod:`ops.states`); no worker, Redis or model takes part.
"""

from __future__ import annotations

import contextlib
import math
import random
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr
from werkzeug.serving import make_server

from ops import assets
from ops.states import State, Visit

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from web.context import Arena

MODELS = (
    ("heron-9b", "Heron 9B", "Marsh Labs", 1120),
    ("quill-7b", "Quill 7B Instruct", "Inkwell", 1095),
    ("quill-7b-4bit", "Quill 7B Instruct, in 4 bits", "Inkwell", 1060),
    ("tern-3b", "Tern 3B", "Marsh Labs", 1040),
    ("long-name", "Cartographer Mini Experimental Instruct 2026-11", "An Institute of Rather Long Names", 1000),
    ("wren-1b", "Wren 1B", "Marsh Labs", 965),
    ("minim", "Minim 135M", "Half Note", 880),
    ("comma", "Comma 90M", "Inkwell", 820),
)
"""Id, name, maker and strength; the votes are drawn by it."""
RETIRED, NEWCOMER = "old-heron", "spark-10m"
"""One left the catalog; one came yesterday and lost what it played, so that its rating is far off and unsure."""
VIEWED = MODELS[0][0]
_FITS, _VOTES_PER_FIT = 6, 160
_FIRST = datetime(2026, 6, 1, 9, tzinfo=UTC)
_CATALOG = """
[[models]]
id = "{id}"
name = "{name}"
maker = "{maker}"
family = "{family}"
licence = "Apache-2.0"
parameters = "{size}"
precision = "{precision}"
engine = "echo"
[models.echo]
text = "{{prompt}}"
"""


def _unfolded(visit: Visit) -> None:
    visit.goto("/leaderboard")
    for summary in visit.page.locator("main summary").all():
        summary.click()


FULL = (
    State("board", lambda visit: visit.goto("/leaderboard", "svg.history")),
    State("board-unfolded", _unfolded),
    State("board-category", lambda visit: visit.goto("/leaderboard?category=code&sort=votes")),
    State("board-model", lambda visit: visit.goto(f"/models/{VIEWED}", "svg.whiskers")),
    State("board-newcomer", lambda visit: visit.goto(f"/models/{NEWCOMER}")),
    State("board-retired", lambda visit: visit.goto(f"/models/{RETIRED}")),
)
"""Of an arena with votes."""
EMPTY = (
    State("board-empty", lambda visit: visit.goto("/leaderboard", ".none")),
    State("board-unvoted", lambda visit: visit.goto(f"/models/{VIEWED}", ".none")),
)
"""Of one before the first."""


@contextlib.contextmanager
def served(folder: Path, *, votes: bool) -> Iterator[str]:
    """The address of an arena without workers whose data lies in ``folder``; with ``votes``, or before the first."""
    from web import create_app
    from web.migrate import upgrade
    from web.settings import WebSettings

    assets.build()
    folder.mkdir(parents=True, exist_ok=True)
    catalog = folder / "catalog.toml"
    catalog.write_text('title = "Made-up models"\n' + "".join(_entry(*m[:3]) for m in (*MODELS, _newcomer())))
    settings = WebSettings(
        redis_url="redis://127.0.0.1:9/0",
        data_dir=folder,
        database_url=None,
        catalog=catalog,
        secret_key=SecretStr("for pictures only"),
        limits="off",
        rating_pause_s=0,
    )
    upgrade(settings.database)
    app = create_app(settings)
    arena: Arena = app.extensions["arena"]
    try:
        if votes:
            fill(arena)
        with _listening(app) as url:
            yield url
    finally:
        app.extensions["arena_live"].hub.stop()
        app.extensions["arena_calls"].hub.stop()
        arena.redis.connection_pool.disconnect()
        arena.db.dispose()


@contextlib.contextmanager
def _listening(app: Any) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def fill(arena: Arena) -> None:
    """Votes of half a year, the same every time, fitted as they came in."""
    from web.records.service import Records

    rng = random.Random(6)  # noqa: S311  # the same board every time
    records = Records(arena)
    strength = {m[0]: m[3] for m in MODELS} | {RETIRED: 930}
    for fit in range(_FITS):
        pairs = [rng.sample(sorted(strength), 2) for _ in range(_VOTES_PER_FIT)]
        given = [(a, b, _winner(rng, strength[a] - strength[b])) for a, b in pairs]
        if fit == _FITS - 1:
            given += [(NEWCOMER, model[0], "b") for model in MODELS[:4]]
        votes = _votes(rng, given, fit)
        arena.db.write(lambda session, votes=votes: session.add_all(votes))  # type: ignore[misc]
        records.refresh_ratings()
    arena.db.write(_date)


def _entry(id_: str, name: str, maker: str) -> str:
    family, _, size = id_.partition("-")
    packed = size.endswith("-4bit")
    size = size.removesuffix("-4bit") or "135m"
    return _CATALOG.format(
        id=id_, name=name, maker=maker, family=family, size=size.upper(), precision="4-bit" if packed else "bf16"
    )


def _newcomer() -> tuple[str, str, str]:
    return NEWCOMER, "Spark 10M", "A Weekend"


def _winner(rng: random.Random, ahead: float) -> str:
    if rng.random() < 0.2:
        return rng.choice(("tie", "both_bad"))
    return "a" if rng.random() < 1 / (1 + math.exp(-ahead * math.log(10) / 400)) else "b"


def _votes(rng: random.Random, given: Sequence[tuple[str, str, str]], fit: int) -> list[Any]:
    """Rows of the database, each battle before its vote."""
    from web.models import Battle, Vote

    rows: list[Any] = []
    for n, (a, b, winner) in enumerate(given):
        battle, owner = f"made-up-{fit}-{n}", f"person {rng.randrange(60)}"
        pair = {"owner": owner, "model_a": a, "model_b": b}
        rows.append(Battle(id=battle, state="finished", probability=0.02, policy_version="-", **pair))
        flaw = ["too_fast"] if rng.random() < 0.03 else []
        vote = {"counted": not flaw, "reasons": flaw, "features": _features(rng)}
        rows.append(Vote(battle_id=battle, winner=winner, **pair, **vote))
    return rows


def _features(rng: random.Random) -> dict[str, Any]:
    boards = [f"language_{rng.choices(('en', 'de', 'zh'), (6, 3, 1))[0]}"]
    boards += [name for name, share in (("code", 0.3), ("math", 0.15), ("multi_turn", 0.2)) if rng.random() < share]
    style = {s: {"tokens": rng.randrange(40, 400), "headers": 0, "list_items": 3, "bold": 1} for s in ("a", "b")}
    return {"probability": 0.02, "boards": sorted(boards), "style": style}


def _date(session: Session) -> None:
    """Snapshots a month apart, as if they had been waited for."""
    from sqlalchemy import select

    from web.models import RatingSnapshot

    seen: dict[str, int] = {}
    for snapshot in session.scalars(select(RatingSnapshot).order_by(RatingSnapshot.id)):
        nth = seen[snapshot.board] = seen.get(snapshot.board, -1) + 1
        snapshot.created_at = _FIRST + timedelta(days=31 * nth)
