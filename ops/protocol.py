"""Write the browser's types of the wire protocol from the one Python source, ``worker/contract/events.py``.

``python -m ops.protocol`` rewrites ``web/ui/src/protocol.gen.ts``; ``--check`` only says whether it would change. A
message changed in Python and not here is a type error in the browser's code instead of a silent mismatch.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

import msgspec
from msgspec import inspect as mi

from worker.contract import events

TARGET = Path(__file__).resolve().parent.parent / "web" / "ui" / "src" / "protocol.gen.ts"

_LITERALS = ("Side", "FinishReason", "Winner", "BattleStateName", "CancelledBy")
_UNIONS = ("StoredEvent", "SocketMessage", "ClientMessage")
_HEADER = "// Written by `python -m ops.protocol` from worker/contract/events.py: change that file, not this one.\n"
_FOOTER = """
/** A stored event as it goes over the wire: the log stamps it with its battle and its place. */
export type Stamp = { battle: string; seq: number };
export type StoredFrame = StoredEvent & Stamp;
export type ServerFrame = SocketMessage | StoredFrame;
"""


def generate() -> str:
    """The whole TypeScript file. Raises TypeError when the contract uses a type this generator does not know."""
    parts = [_HEADER]
    parts += [f"export const SUBPROTOCOL = {_quote(events.SUBPROTOCOL)};\n", _close_codes()]
    parts += [f"export type {name} = {_union(map(_quote, get_args(getattr(events, name))))};\n" for name in _LITERALS]
    roots = [member for name in _UNIONS for member in get_args(getattr(events, name))]
    parts += [_struct(cls) for cls in _reachable(roots)]
    for name in _UNIONS:
        parts.append(f"export type {name} = {_union(m.__name__ for m in get_args(getattr(events, name)))};\n")
    return "\n".join(parts) + _FOOTER


def _close_codes() -> str:
    codes = {k: v for k, v in vars(events.CloseCode).items() if k.isupper()}
    body = "".join(f"  {name}: {value},\n" for name, value in codes.items())
    return f"/** {_first_line(events.CloseCode)} */\nexport const CloseCode = {{\n{body}}} as const;\n"


def _struct(cls: type[msgspec.Struct]) -> str:
    info = mi.type_info(cls)
    if not isinstance(info, mi.StructType):
        raise TypeError(f"{cls.__name__} is no struct")
    config = cls.__struct_config__
    lines = [f"  {info.tag_field}: {_quote(info.tag)};"] if info.tag_field else []
    for field in info.fields:
        may_lack = config.omit_defaults and not field.required
        lines.append(f"  {field.encode_name}{'?' if may_lack else ''}: {_type(field.type)};")
    doc = f"/** {_first_line(cls)} */\n" if _first_line(cls) else ""
    return f"{doc}export interface {cls.__name__} {{\n" + "".join(f"{line}\n" for line in lines) + "}\n"


def _type(info: Any) -> str:
    """The TypeScript type of one msgspec type description."""
    match info:
        case mi.StrType():
            return "string"
        case mi.IntType() | mi.FloatType():
            return "number"
        case mi.BoolType():
            return "boolean"
        case mi.NoneType():
            return "null"
        case mi.LiteralType():
            return _literal(info.values)
        case mi.StructType():
            return info.cls.__name__
        case mi.UnionType():
            return _named_union(info) or _union(_type(t) for t in info.types)
        case mi.ListType() | mi.VarTupleType():
            item = _type(info.item_type)
            return f"readonly ({item})[]" if " " in item else f"readonly {item}[]"
        case mi.Metadata():
            return _type(info.type)
    raise TypeError(f"no TypeScript for {info!r}")


def _literal(values: Iterable[Any]) -> str:
    for name in _LITERALS:
        if sorted(get_args(getattr(events, name))) == sorted(values):
            return name
    return _union(map(_quote, values))


def _named_union(info: mi.UnionType) -> str | None:
    members = {t.cls for t in info.types if isinstance(t, mi.StructType)}
    for name in _UNIONS:
        if len(members) == len(info.types) and members == set(get_args(getattr(events, name))):
            return name
    return None


def _reachable(roots: Iterable[type[msgspec.Struct]]) -> list[type[msgspec.Struct]]:
    """Every struct named by ``roots``, each after those it uses, so that the file reads from small to large."""
    found: list[type[msgspec.Struct]] = []

    def visit(info: Any) -> None:
        for inner in getattr(info, "types", ()):
            visit(inner)
        for inner in (getattr(info, "item_type", None), info.type if isinstance(info, mi.Metadata) else None):
            if inner is not None:
                visit(inner)
        if isinstance(info, mi.StructType) and info.cls not in found:
            for field in info.fields:
                visit(field.type)
            found.append(info.cls)

    for root in roots:
        visit(mi.type_info(root))
    return found


def _union(names: Iterable[str]) -> str:
    return " | ".join(names)


def _quote(value: object) -> str:
    return json.dumps(value)


def _first_line(cls: type) -> str:
    doc = cls.__doc__ or ""
    return doc.strip().split("\n")[0].strip()


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m ops.protocol", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when the file is out of date")
    args = parser.parse_args(argv)
    text = generate()
    if TARGET.exists() and TARGET.read_text() == text:
        return 0
    if args.check:
        print(f"{TARGET.name} is out of date: run `python -m ops.protocol` and commit it", file=sys.stderr)
        return 1
    TARGET.write_text(text)
    print(f"wrote {TARGET}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
