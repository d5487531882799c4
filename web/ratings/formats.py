"""Rows of open data as bytes: JSON lines, CSV, Parquet. Written piece by piece, so that no export is held in memory."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

FORMATS = {"jsonl": "application/jsonl", "csv": "text/csv", "parquet": "application/vnd.apache.parquet"}
"""Media type of each."""
_GROUP = 20_000
"""Rows of one of Parquet's row groups."""
_KINDS = {
    "bool_": ("counted", "ranked", "voted", "pii"),
    "int64": ("turns", "tokens_a", "tokens_b", "rank", "votes"),
    "float64": ("probability", "rating", "low", "high"),
}
_LISTS = ("reasons", "boards")
_JSON = ("style_a", "style_b", "texts")
Row = Mapping[str, Any]


class NotInstalled(Exception):  # noqa: N818
    """Parquet needs an optional package; the message says how to get it."""


def written(shape: str, rows: Iterable[Row], columns: Iterable[str]) -> Iterator[bytes]:
    """``rows`` in one of :data:`FORMATS`. Raises NotInstalled, at once and not with the first piece."""
    write: Callable[[Iterable[Row], Iterable[str]], Iterator[bytes]] = {
        "jsonl": as_jsonl, "csv": as_csv, "parquet": as_parquet,
    }[shape]  # fmt: skip
    return write(rows, columns)


def as_jsonl(rows: Iterable[Row], columns: Iterable[str] = ()) -> Iterator[bytes]:
    """One JSON object a line, with whatever columns the rows have."""
    encode = msgspec.json.Encoder().encode
    return (encode(row) + b"\n" for row in rows)


def as_csv(rows: Iterable[Row], columns: Iterable[str]) -> Iterator[bytes]:
    """With a header; lists are separated by spaces, style and texts are JSON, what is not known is empty."""
    names = list(columns)
    yield _line(names)
    for row in rows:
        yield _line([_cell(row[name]) for name in names])


def as_parquet(rows: Iterable[Row], columns: Iterable[str]) -> Iterator[bytes]:
    """Strings, numbers, booleans and lists of strings; style and texts are JSON. Raises NotInstalled."""
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError:
        raise NotInstalled("Parquet needs a package that is not here: pip install 'llm-arena[parquet]'") from None
    kinds = {name: getattr(arrow, kind)() for kind, names in _KINDS.items() for name in names}
    kinds |= {name: arrow.list_(arrow.string()) for name in _LISTS}
    schema = arrow.schema([(name, kinds.get(name, arrow.string())) for name in columns])

    def pieces() -> Iterator[bytes]:
        sink = _Sink()
        remaining = iter(rows)
        with parquet.ParquetWriter(sink, schema, compression="zstd") as writer:
            while group := list(itertools.islice(remaining, _GROUP)):
                writer.write_table(arrow.Table.from_pylist([_flat(row) for row in group], schema))
                yield sink.taken()
        yield sink.taken()

    return pieces()


class _Sink(io.RawIOBase):
    """What is written to it can be taken away in pieces."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, piece: Any) -> int:
        self._pieces.append(bytes(piece))
        return len(self._pieces[-1])

    def taken(self) -> bytes:
        """What was written since the last time."""
        found, self._pieces = b"".join(self._pieces), []
        return found


def _flat(row: Row) -> dict[str, Any]:
    return {name: _json(value) if name in _JSON and value is not None else value for name, value in row.items()}


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _line(cells: list[str]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(cells)
    return out.getvalue().encode()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return " ".join(value)
    if isinstance(value, dict | list):
        return _json(value)
    return repr(value) if isinstance(value, float) else str(value)
