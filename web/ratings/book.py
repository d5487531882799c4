"""All votes in memory, in columns, kept up to date by reading only what is new.

A vote never changes but in whether it counts. So each vote is read once per process (about 60 bytes of
memory); after that a refresh reads the newer votes and the ids of those that do not count, both through an
index, and costs the new votes and not the old ones. What was excluded or released since is seen exactly.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Text, cast, select
from sqlalchemy.orm import Session

from web.models import Vote
from web.ratings.features import STYLE
from web.ratings.method import OUTCOMES, WHOLE, Columns, difference

_CHUNK = 20_000
_LATE = 500
"""Ids before the newest that are looked at again: PostgreSQL may commit a lower id after a higher one."""
_MAX_BOARDS = 63
_OUTCOME = {winner: code for code, winner in enumerate(OUTCOMES)}
_COLUMNS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "id": (np.int64, ()),
    "mixed": (np.uint64, ()),
    "a": (np.int32, ()),
    "b": (np.int32, ()),
    "outcome": (np.int8, ()),
    "probability": (np.float64, ()),
    "boards": (np.uint64, ()),
    "voter": (np.int64, ()),
    "style": (np.float32, (len(STYLE),)),
}
"""Type and further axes of each column. ``mixed`` is the id scrambled: their sum stands for a set of ids."""


class _Features(msgspec.Struct, gc=False):
    """What of a vote's features is read; see :func:`web.ratings.features.of_vote`."""

    probability: float = np.nan
    boards: list[str] = []
    style: dict[str, dict[str, float]] | None = None


@dataclass(frozen=True, slots=True)
class Extent:
    """What a fit saw: how many votes count, the newest one's id, and a digest of which (None: not known)."""

    votes: int
    newest: int
    digest: int | None = None


class VoteBook:
    """Not safe to share between threads; :meth:`catch_up` first."""

    def __init__(self) -> None:
        self._models: dict[str, int] = {}
        self._boards: dict[str, int] = {}
        self._room = {name: np.zeros((0, *axes), dtype=kind) for name, (kind, axes) in _COLUMNS.items()}
        self._size = 0
        self._counted = np.zeros(0, dtype=bool)
        self._reasons: dict[int, tuple[str, ...]] = {}
        self._decode = msgspec.json.Decoder(_Features).decode

    def catch_up(self, session: Session) -> None:
        """Read the votes that are new and which do not count. What a broken-off reading left out comes next time."""
        ids = self._column("id")
        after = int(ids.max(initial=0)) - _LATE
        seen = set(ids[ids > after].tolist())
        reading = session.connection()
        features = cast(Vote.features, Text)  # decoded here, several times faster
        while True:
            page = reading.execute(
                select(Vote.id, Vote.model_a, Vote.model_b, Vote.winner, Vote.owner, features)
                .where(Vote.id > after)
                .order_by(Vote.id)
                .limit(_CHUNK)
            ).all()
            self._append([row for row in page if row[0] not in seen and row[1] != row[2]])
            if len(page) < _CHUNK:
                break
            after = page[-1][0]
        excluded = reading.execute(select(Vote.id, Vote.reasons).where(Vote.counted.is_(False))).all()
        self._reasons = {key: tuple(sys.intern(reason) for reason in reasons or ()) for key, reasons in excluded}
        self._counted = ~np.isin(self._column("id"), np.array(list(self._reasons), dtype=np.int64))

    def boards(self, min_votes: int = 1) -> list[str]:
        """``overall`` and every other board with at least so many counted votes, in the order of names."""
        votes = {name: int((self._on(name) & self._counted).sum()) for name in self._boards}
        return ["overall", *sorted(name for name, n in votes.items() if n >= min_votes)]

    def styled(self) -> int:
        """How many counted votes know the style of their answers."""
        return int((self._counted & ~np.isnan(self._column("style")[:, 0])).sum())

    def extent(self, board: str = "overall") -> Extent:
        """What a fit of this board would see now."""
        chosen = self._on(board) & self._counted
        newest = int(self._column("id")[chosen].max(initial=0))
        return Extent(int(chosen.sum()), newest, int(self._column("mixed")[chosen].sum()))

    def columns(self, board: str = "overall") -> Columns:
        """The counted votes of a board, and why others on it do not count."""
        chosen = self._on(board) & self._counted
        a, b, outcome, probability, voter, style = (
            self._column(name)[chosen] for name in ("a", "b", "outcome", "probability", "voter", "style")
        )
        left_out = self._column("id")[self._on(board) & ~self._counted].tolist()
        reasons = tuple(self._reasons[key] for key in left_out)
        return Columns(tuple(self._models), a, b, outcome, probability, voter, style, reasons)

    def counts(self) -> list[tuple[str, str, str, int]]:
        """Counted votes added up: model on side a, on side b, winner, how many."""
        names, chosen = list(self._models), self._counted
        pair = self._column("a")[chosen].astype(np.int64) * len(names) + self._column("b")[chosen]
        found, games = np.unique(pair * len(OUTCOMES) + self._column("outcome")[chosen], return_counts=True)
        pair, outcome = np.divmod(found, len(OUTCOMES))
        return [
            (names[p // len(names)], names[p % len(names)], OUTCOMES[o], n)
            for p, o, n in zip(pair.tolist(), outcome.tolist(), games.tolist(), strict=True)
        ]

    def _column(self, name: str) -> NDArray[Any]:
        return self._room[name][: self._size]

    def _on(self, board: str) -> NDArray[np.bool_]:
        """Which votes are of a board, whether they count or not."""
        if board in WHOLE:
            return np.ones(self._size, dtype=bool)
        bit = self._boards.get(board)
        if bit is None:
            return np.zeros(self._size, dtype=bool)
        return np.asarray((self._column("boards") & np.uint64(1 << bit)) > 0)

    def _append(self, votes: list[Any]) -> None:
        if not votes:
            return
        size = self._size + len(votes)
        if size > len(self._room["id"]):
            for name, column in self._room.items():
                grown = np.zeros((max(1024, 2 * len(column), size), *column.shape[1:]), dtype=column.dtype)
                grown[: self._size] = column[: self._size]
                self._room[name] = grown
        rows: dict[str, Any] = dict(zip(_READ, zip(*[self._row(*vote) for vote in votes], strict=True), strict=True))
        rows["style"] = difference(np.array(rows["style"], dtype=np.float64))
        rows["mixed"] = _mixed(np.array(rows["id"], dtype=np.uint64))
        for name, values in rows.items():
            self._room[name][self._size : size] = values
        self._size = size

    def _row(self, key: int, a: str, b: str, winner: str, owner: str, features: str | None) -> tuple[Any, ...]:
        known = self._decode(features) if features else _Features()
        bits = 0
        for name in known.boards:
            if name in self._boards or len(self._boards) < _MAX_BOARDS:
                bits |= 1 << self._boards.setdefault(name, len(self._boards))
        return (
            key,
            self._models.setdefault(a, len(self._models)),
            self._models.setdefault(b, len(self._models)),
            _OUTCOME[winner],
            known.probability,
            bits,
            int.from_bytes(blake2b(owner.encode(), digest_size=8).digest()) >> 1,
            _flat(known.style),
        )


def _flat(style: Mapping[str, Mapping[str, float]] | None) -> list[float]:
    if not style:
        return _UNKNOWN
    a, b = style["a"], style["b"]
    return [a[name] for name in STYLE] + [b[name] for name in STYLE]


_UNKNOWN = [np.nan] * 2 * len(STYLE)
_READ = ("id", "a", "b", "outcome", "probability", "boards", "voter", "style")


def _mixed(ids: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's last steps (Steele, Lea and Flood 2014): different sets of ids have different sums, but for luck."""
    with np.errstate(over="ignore"):
        mixed = ids * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))
