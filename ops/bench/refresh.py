"""What one more vote costs the leaderboards when there are many already: against adding all votes up in the database.

Ours is the records worker's refresh, boards of categories and style included. The other is the plain way: one GROUP BY
over all counted votes and one fit of the board of all votes. Both on the same SQLite file; beginning is reading all
votes once, which a process does when it starts.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from ops.bench.ratings import simulated
from ops.bench.report import Row, paired
from web.db import Database
from web.models import Base, Battle, Vote
from web.ratings.board import Boards
from web.ratings.bradley_terry import estimate
from web.ratings.features import STYLE
from web.ratings.method import OUTCOMES, Method
from web.ratings.tally import SCORES, Count, from_counts

_BATCH = 20_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What may be asked of this bench."""
    parser.add_argument("--votes", type=int, default=1_000_000)
    parser.add_argument("--models", type=int, default=50)
    parser.add_argument("--runs", type=int, default=5)


def run(args: argparse.Namespace) -> tuple[str, list[Row]]:
    """The name of the other, and the rows."""
    with tempfile.TemporaryDirectory() as folder:
        db = Database(f"sqlite:///{Path(folder) / 'votes.sqlite3'}")
        Base.metadata.create_all(db.engine)
        _fill(db, args.votes, args.models)
        boards = Boards(Method(), 30)
        first = _time(lambda: _refresh(db, boards))
        ours, theirs, alone = [], [], []
        for n in range(args.runs):
            _vote(db, args.votes + n)
            alone.append(_time(lambda: db.read(boards.book.catch_up)))
            ours.append(_time(lambda: _refresh(db, boards)))
            theirs.append(_time(lambda: _plainly(db)))
        db.dispose()
    label = f"{args.votes:,} votes"
    return "GROUP BY over all votes and one board", [
        paired(f"{label}, beginning", "s", [first], [theirs[0]]),
        paired(f"{label}, reading one more", "s", alone, theirs),
        paired(f"{label}, one more vote on four boards", "s", ours, theirs),
    ]


def _refresh(db: Database, boards: Boards) -> None:
    seen = db.read(boards.changed)
    rows = boards.fit(seen)
    db.write(lambda s: boards.store(s, rows, seen))
    boards.stored(seen)


def _plainly(db: Database) -> None:
    def work(session: Session) -> list[Count]:
        rows = session.execute(
            select(Vote.model_a, Vote.model_b, Vote.winner, func.count())
            .where(Vote.counted.is_(True), Vote.model_a != Vote.model_b)
            .group_by(Vote.model_a, Vote.model_b, Vote.winner)
        )
        return [Count(a, b, SCORES[winner], games) for a, b, winner, games in rows]

    estimate(from_counts(db.read(work)))


def _fill(db: Database, votes: int, models: int) -> None:
    a, b, outcome = simulated(votes, models)
    rng = np.random.default_rng(1)
    style = rng.integers(0, 300, (votes, 2, len(STYLE)))
    for begin in range(0, votes, _BATCH):
        chosen = range(begin, min(begin + _BATCH, votes))
        rows = [
            _row(n, f"m{a[n]:03}", f"m{b[n]:03}", OUTCOMES[(1, 2, 0)[outcome[n]]], style[n].tolist()) for n in chosen
        ]
        db.write(
            lambda s, rows=rows: (
                s.execute(insert(Battle), [r[0] for r in rows]),
                s.execute(insert(Vote), [r[1] for r in rows]),
            )
        )


def _vote(db: Database, number: int) -> None:
    battle, vote = _row(number, "m000", "m001", "a", [[1] * len(STYLE)] * 2)
    db.write(lambda s: (s.execute(insert(Battle), [battle]), s.execute(insert(Vote), [vote])))


def _row(number: int, a: str, b: str, winner: str, style: list[list[int]]) -> tuple[dict, dict]:
    key = f"battle-{number:08}"
    boards = sorted({"language_en", *(["code"] if number % 4 == 0 else []), *(["math"] if number % 9 == 0 else [])})
    features = {
        "probability": 0.1,
        "boards": boards,
        "style": {side: dict(zip(STYLE, s, strict=True)) for side, s in zip("ab", style, strict=True)},
    }
    battle = {"id": key, "owner": "o", "state": "finished", "model_a": a, "model_b": b, "probability": 0.1,
              "policy_version": "bench"}  # fmt: skip
    vote = {"battle_id": key, "owner": f"owner-{number % 5000}", "winner": winner, "model_a": a, "model_b": b,
            "counted": number % 50 != 0, "features": json.loads(json.dumps(features))}  # fmt: skip
    return battle, vote


def _time(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin
