"""Votes from files of any arena: JSON lines, a JSON array (FastChat's exports) or CSV.

Known spellings: ours and FastChat's (``model_a, model_b, winner``), LMArena's (``both_bad`` for ``tie (bothbad)``), and
annotation tools' (``left, right, winner``). Columns that are not asked for are ignored, texts among them.
"""

from __future__ import annotations

import csv
import math
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np

from web.ratings.features import STYLE
from web.ratings.method import OUTCOMES, WHOLE, Columns, difference

WINNERS = {
    "model_a": "a", "left": "a", "a": "a",
    "model_b": "b", "right": "b", "b": "b",
    "tie": "tie", "tie (bothbad)": "both_bad", "both_bad": "both_bad", "bothbad": "both_bad",
}  # fmt: skip
_CODE = {spelling: OUTCOMES.index(winner) for spelling, winner in WINNERS.items()}
_VOTERS = ("voter", "judge", "evaluation_session_id", "worker")
_MAX_CELL = 2**31 - 1


class BadVotes(ValueError):  # noqa: N818
    """The file is not votes; the message is one line and says where."""


@dataclass(slots=True)
class _Table:
    """Columns while they grow; names are numbered in the order they come."""

    models: dict[str, int] = field(default_factory=dict)
    voters: dict[str, int] = field(default_factory=dict)
    a: array[int] = field(default_factory=lambda: array("i"))
    b: array[int] = field(default_factory=lambda: array("i"))
    outcome: array[int] = field(default_factory=lambda: array("b"))
    probability: array[float] = field(default_factory=lambda: array("d"))
    voter: array[int] = field(default_factory=lambda: array("i"))
    style: array[float] = field(default_factory=lambda: array("d"))
    reasons: list[tuple[str, ...]] = field(default_factory=list)
    everybody_known: bool = True


def read_votes(file: Path | IO[bytes], board: str = "overall") -> Columns:
    """The counted votes in a file, those of one board. Rows that say ``counted`` or ``anony`` is false are left out.

    Raises BadVotes, with the line, and OSError.
    """
    if isinstance(file, Path):
        with file.open("rb") as opened:
            return read_votes(opened, board)
    return columns(rows(file), board)


def columns(numbered: Iterable[tuple[int, Mapping[str, Any]]], board: str = "overall") -> Columns:
    """Numbered rows as columns; see :func:`read_votes`."""
    table = _Table()
    for line, row in numbered:
        try:
            if not _on(row, board):
                continue
            if _counts(row):
                _add(table, row)
            else:
                table.reasons.append(_reasons(row))
        except (KeyError, TypeError, ValueError) as error:
            raise BadVotes(f"line {line}: {_reason(error)}") from None
    return Columns(
        models=tuple(table.models),
        a=np.frombuffer(table.a, dtype=np.int32) if table.a else np.zeros(0, dtype=np.intp),
        b=np.frombuffer(table.b, dtype=np.int32) if table.b else np.zeros(0, dtype=np.intp),
        outcome=np.frombuffer(table.outcome, dtype=np.int8) if table.a else np.zeros(0, dtype=np.intp),
        probability=np.array(table.probability, dtype=np.float64),
        voter=np.array(table.voter, dtype=np.intp) if table.everybody_known else None,
        style=difference(np.array(table.style, dtype=np.float64).reshape(-1, 2 * len(STYLE))),
        reasons=tuple(table.reasons),
    )


def rows(file: IO[bytes]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Every row with the number of its line (of its entry, in a JSON array). What it is shows in its first byte."""
    head = b""
    while not head.strip(b"\xef\xbb\xbf \t\r\n"):
        more = file.readline()
        if not more:
            return
        head += more
    head = head.removeprefix(b"\xef\xbb\xbf")
    skipped, first = head.count(b"\n") - (1 if head.endswith(b"\n") else 0), head.lstrip()[:1]
    if first == b"[":
        yield from _array(head, file)
    elif first == b"{":
        yield from _lines(skipped + 1, head.lstrip(), file)
    else:
        yield from _csv(skipped, head.lstrip(b"\r\n"), file)


def _lines(number: int, head: bytes, file: IO[bytes]) -> Iterator[tuple[int, dict[str, Any]]]:
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    line: bytes = head
    while line:
        if line.strip():
            try:
                yield number, decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise BadVotes(f"line {number}: not a JSON object ({error})") from None
        number, line = number + 1, file.readline()


def _array(head: bytes, file: IO[bytes]) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        entries = msgspec.json.decode(head + file.read(), type=list[dict[str, Any]])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadVotes(f"not a JSON array of objects ({error})") from None
    yield from enumerate(entries, 1)


def _csv(skipped: int, head: bytes, file: IO[bytes]) -> Iterator[tuple[int, dict[str, Any]]]:
    def lines() -> Iterator[str]:
        number, line = skipped + 1, head
        while line:
            try:
                yield line.decode()
            except UnicodeDecodeError:
                raise BadVotes(f"line {number}: not UTF-8") from None
            number, line = number + 1, file.readline()

    limit = csv.field_size_limit(_MAX_CELL)  # a column of whole conversations is no reason to refuse
    try:
        reader = csv.DictReader(lines(), strict=True)
        number = skipped + 2
        for row in reader:
            if None in row or None in row.values():
                raise BadVotes(f"line {number}: {len(reader.fieldnames or ())} columns expected")
            yield number, row
            number = skipped + reader.line_num + 1
    except csv.Error as error:
        raise BadVotes(f"line {skipped + reader.line_num}: not CSV ({error})") from None
    finally:
        csv.field_size_limit(limit)


def _counts(row: Mapping[str, Any]) -> bool:
    return all(str(row.get(name, True)).lower() not in ("false", "0") for name in ("counted", "anony"))


def _reasons(row: Mapping[str, Any]) -> tuple[str, ...]:
    if str(row.get("anony", True)).lower() in ("false", "0"):
        return ("not blind",)
    given = row.get("reasons") or ()
    return tuple(given.split() if isinstance(given, str) else map(str, given))


def _on(row: Mapping[str, Any], board: str) -> bool:
    if board in WHOLE:
        return True
    boards = row.get("boards") or ()
    return board in (boards.split() if isinstance(boards, str) else boards)


def _add(table: _Table, row: Mapping[str, Any]) -> None:
    a, b = (_name(row, column) for column in (("model_a", "left"), ("model_b", "right")))
    if a == b:
        raise ValueError("a model cannot meet itself")
    winner = row["winner"]
    if not isinstance(winner, str) or winner not in _CODE:
        raise ValueError(f"winner is {_short(winner)}, not model_a, model_b, tie or tie (bothbad)")
    table.a.append(table.models.setdefault(a, len(table.models)))
    table.b.append(table.models.setdefault(b, len(table.models)))
    table.outcome.append(_CODE[winner])
    table.style.extend(_style(row, "style_a") + _style(row, "style_b"))
    table.probability.append(_probability(row.get("probability")))
    who = next((row[name] for name in _VOTERS if row.get(name) not in (None, "")), None)
    table.everybody_known &= who is not None
    table.voter.append(table.voters.setdefault(str(who), len(table.voters)))


def _style(row: Mapping[str, Any], column: str) -> list[float]:
    """Counts of :data:`STYLE`; NaN where the row does not say."""
    known = row.get(column)
    if isinstance(known, str) and known:
        known = msgspec.json.decode(known)
    if not known:
        return [math.nan] * len(STYLE)
    try:
        return [float(known[name]) for name in STYLE]
    except (TypeError, KeyError, ValueError):
        raise ValueError(f"{column} is {_short(known)}, not counts of {', '.join(STYLE)}") from None


def _name(row: Mapping[str, Any], columns: tuple[str, str]) -> str:
    found = row.get(columns[0], row.get(columns[1]))
    if found is None:
        raise KeyError(columns[0])
    if not isinstance(found, str) or not found.strip():
        raise ValueError(f"{columns[0]} is {_short(found)}, not a name")
    return found


def _probability(value: Any) -> float:
    if value is None or value == "":
        return math.nan
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 < number <= 1:
        raise ValueError(f"probability is {_short(value)}, not above 0 and at most 1")
    return number


def _short(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _reason(error: Exception) -> str:
    return f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
