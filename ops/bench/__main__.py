"""``python -m ops.bench NAME [--json]``."""

from __future__ import annotations

import argparse
import importlib
import sys

from ops.bench.report import render

BENCHES = (
    "load",
    "coresident",
    "contention",
    "throughput",
    "chaos",
    "overhead",
    "sockets",
    "ratings",
    "refresh",
    "weights",
    "sampling",
    "accept",
    "attack",
    "placement",
    "render",
    "duel",
)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m ops.bench", description="Measure the arena against a named other.")
    names = parser.add_subparsers(dest="bench", required=True, metavar="NAME")
    modules = {name: importlib.import_module(f"ops.bench.{name}") for name in BENCHES}
    for name, module in modules.items():
        first = (module.__doc__ or "").split("\n")[0].replace("%", "%%")  # argparse fills in a help's per cent signs
        sub = names.add_parser(name, help=first, description=module.__doc__)
        sub.add_argument("--json", action="store_true", help="print JSON instead of a table")
        module.add_arguments(sub)
    args = parser.parse_args(argv)
    other, rows = modules[args.bench].run(args)
    show = getattr(modules[args.bench], "show", None)  # a bench whose table is not one of pairs
    print(show(rows) if show and not args.json else render(args.bench, other, rows, args.json))
    return 0


if __name__ == "__main__":
    sys.exit(main())
