"""All votes in memory, in columns, kept up to date by reading only what is new.

A vote never changes but in whether it counts. So each vote is read once per process (about 60 bytes of
memory); after that a refresh reads the newer votes and the ids of those that do not count, both through an
index, and costs the new votes and not the old ones. What was excluded or released since is seen exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from web.models import Vote
from web.ratings.features import STYLE
from web.ratings.method import OUTCOMES, Columns

_CHUNK = 20_000
_LATE = 500
"""Ids before the newest that are looked at again: PostgreSQL may commit a lower id after a higher one."""
_MAX_BOARDS = 63
WHOLE = ("overall", "style_control")
"""Boards of all counted votes."""
_OUTCOME = {winner: code for code, winner in enumerate(OUTCOMES)}
_ROW = np.dtype(
    [
        ("id", np.int64),
        ("a", np.int32),
        ("b", np.int32),
        ("outcome", np.int8),
        ("probability", np.float64),
        ("boards", np.uint64),
        ("voter", np.int64),
        ("style", np.float32, len(STYLE)),
    ]
)


@dataclass(frozen=True, slots=True)
class Extent:
    """What a fit saw: how many votes count, the newest one's id, and a digest of which."""

    votes: int
    newest: int
    digest: bytes = b""


class VoteBook:
    """Not safe to share between threads; :meth:`catch_up` first."""

    def __init__(self) -> None:
        self._models: dict[str, int] = {}
        self._boards: dict[str, int] = {}
        self._rows = np.zeros(0, dtype=_ROW)
        self._size = 0
        self._counted = np.zeros(0, dtype=bool)

    def catch_up(self, session: Session) -> None:
        """Read the votes that are new and which do not count. What a broken-off reading left out comes next time."""
        newest = int(self._known["id"].max(initial=0))
        late = newest - _LATE
        seen = set(self._known["id"][self._known["id"] > late].tolist())
        while True:
            page = session.execute(
                select(Vote.id, Vote.model_a, Vote.model_b, Vote.winner, Vote.owner, Vote.features)
                .where(Vote.id > late)
                .order_by(Vote.id)
                .limit(_CHUNK)
            ).all()
            self._append([row for row in page if row[0] not in seen and row[1] != row[2]])
            if len(page) < _CHUNK:
                break
            late = page[-1][0]
        excluded = session.scalars(select(Vote.id).where(Vote.counted.is_(False))).all()
        self._counted = ~np.isin(self._known["id"], np.array(excluded, dtype=np.int64))

    @property
    def _known(self) -> NDArray[Any]:
        return self._rows[: self._size]

    def boards(self, min_votes: int = 1) -> list[str]:
        """``overall`` and every other board with at least so many counted votes, in the order of names."""
        mask = self._known["boards"][self._counted]
        votes = {name: int((mask >> np.uint64(bit) & np.uint64(1)).sum()) for name, bit in self._boards.items()}
        return ["overall", *sorted(name for name, n in votes.items() if n >= min_votes)]

    def styled(self) -> int:
        """How many counted votes know the style of their answers."""
        return int((~np.isnan(self._known["style"][self._counted][:, 0])).sum())

    def extent(self, board: str = "overall") -> Extent:
        """What a fit of this board would see now."""
        ids = self._of(board)["id"]
        return Extent(len(ids), int(ids.max(initial=0)), blake2b(np.sort(ids).tobytes(), digest_size=16).digest())

    def columns(self, board: str = "overall") -> Columns:
        """The counted votes of a board."""
        rows = self._of(board)
        return Columns(
            tuple(self._models),
            rows["a"],
            rows["b"],
            rows["outcome"],
            rows["probability"],
            rows["voter"],
            rows["style"],
        )

    def counts(self) -> list[tuple[str, str, str, int]]:
        """Counted votes added up: model on side a, on side b, winner, how many."""
        rows, names = self._of("overall"), list(self._models)
        key = (rows["a"].astype(np.int64) * len(names) + rows["b"]) * len(OUTCOMES) + rows["outcome"]
        found, games = np.unique(key, return_counts=True)
        pair, outcome = np.divmod(found, len(OUTCOMES))
        return [
            (names[p // len(names)], names[p % len(names)], OUTCOMES[o], n)
            for p, o, n in zip(pair.tolist(), outcome.tolist(), games.tolist(), strict=True)
        ]

    def _of(self, board: str) -> NDArray[Any]:
        rows = np.asarray(self._known[self._counted])
        if board in WHOLE:
            return rows
        bit = self._boards.get(board)
        if bit is None:
            return rows[:0]
        return np.asarray(rows[(rows["boards"] >> np.uint64(bit)) & np.uint64(1) == 1])

    def _append(self, votes: list[Any]) -> None:
        if self._size + len(votes) > len(self._rows):
            grown = np.zeros(max(1024, 2 * len(self._rows), self._size + len(votes)), dtype=_ROW)
            grown[: self._size] = self._known
            self._rows = grown
        self._rows[self._size : self._size + len(votes)] = [self._row(*vote) for vote in votes]
        self._size += len(votes)

    def _row(
        self, key: int, a: str, b: str, winner: str, owner: str, features: Mapping[str, Any] | None
    ) -> tuple[Any, ...]:
        known = features or {}
        bits = 0
        for name in known.get("boards", ()):
            if name in self._boards or len(self._boards) < _MAX_BOARDS:
                bits |= 1 << self._boards.setdefault(name, len(self._boards))
        return (
            key,
            self._models.setdefault(a, len(self._models)),
            self._models.setdefault(b, len(self._models)),
            _OUTCOME[winner],
            known.get("probability", np.nan),
            bits,
            int.from_bytes(blake2b(owner.encode(), digest_size=8).digest()) >> 1,
            style_difference(known.get("style")),
        )


def style_difference(style: Mapping[str, Mapping[str, int]] | None) -> tuple[float, ...]:
    """``(a - b) / (a + b + 1)`` of each of :data:`STYLE`; FastChat's normalised differences. NaN: not known."""
    if not style:
        return (np.nan,) * len(STYLE)
    a, b = style["a"], style["b"]
    return tuple((a[name] - b[name]) / (a[name] + b[name] + 1) for name in STYLE)
