"""``python -m web.ratings FILE``: the leaderboard of any file of votes, ours or another arena's.

FILE is JSON lines, a JSON array or CSV with ``model_a, model_b, winner`` (``-``: standard input). On a terminal it
prints a table, elsewhere a JSON array of ``model, rank, rating, low, high, votes``.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from pathlib import Path
from typing import get_args

from web.ratings import plots
from web.ratings.bradley_terry import NotConverged
from web.ratings.figures import figures
from web.ratings.files import read_votes
from web.ratings.intervals import Kind
from web.ratings.method import BothBad, Columns, Method, board
from web.ratings.output import as_json, as_table, plain
from web.ratings.standings import Order

MIN_VOTES = 30


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0, or 2 with one line on standard error when the file or the request is at fault."""
    args = _parser().parse_args(argv)
    method = Method(
        args.prior,
        args.weights,
        args.interval,
        args.both_bad,
        args.order,
        args.samples,
        args.seed,
        style=args.board == "style_control",
    )
    source = sys.stdin.buffer if args.file == "-" else Path(args.file)
    try:
        votes = read_votes(source, args.board)
        if args.honesty:
            return _print(json.dumps(figures(votes, method), indent=1) + "\n")
        rows = board(votes, method)
        if args.plot:
            return _plot(args.plot, votes, method)
    except OSError as error:
        return _refuse(f"{args.file}: {error.strerror or error}")
    except plots.CannotDraw as error:
        return _refuse(str(error))
    except (ValueError, NotConverged) as error:
        return _refuse(f"{args.file}: {error}")
    if args.json or args.full or not (args.table or sys.stdout.isatty()):
        text = as_json(plain(rows, args.min_votes if args.full else None))
    else:
        text = as_table(rows, args.min_votes)
    return _print(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m web.ratings", description=__doc__)
    default = Method()
    add = parser.add_argument
    add("file", metavar="FILE")
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="a JSON array; the default unless a person is looking")
    shape.add_argument("--table", action="store_true", help="a table; the default on a terminal")
    shape.add_argument(
        "--full", action="store_true", help="JSON with rank spread, win rate and whether a row is preliminary as well"
    )
    shape.add_argument("--honesty", action="store_true", help="JSON of how far the board can be trusted")
    shape.add_argument(
        "--plot", type=_picture, metavar="PICTURE", help="write ratings with intervals to this .svg or .png file"
    )
    add("--prior", type=_at_least_zero, default=default.prior, help="precision of the prior; 0: none (%(default)s)")
    add("--weights", choices=("auto", "none", "propensity", "realised"), default=default.weights)
    add("--interval", choices=get_args(Kind), default=default.interval)
    add("--both-bad", choices=get_args(BothBad), default=default.both_bad, help="as a tie, or not at all")
    add("--order", choices=get_args(Order), default=default.order, help="by rating or by its lower bound")
    add(
        "--board",
        default="overall",
        help="only votes of this board; style_control: all, with form taken out (%(default)s)",
    )
    add("--min-votes", type=_whole, default=MIN_VOTES, help="fewer make a row preliminary (%(default)s)")
    add("--samples", type=_whole, default=default.samples, help="resamples of the bootstrap (%(default)s)")
    add("--seed", type=_whole, default=default.seed)
    return parser


def _plot(file: Path, votes: Columns, method: Method) -> int:
    svg = plots.drawn(votes, method)["ratings"]
    file.write_bytes(plots.png(svg) if file.suffix == ".png" else svg.encode())
    return 0


def _picture(text: str) -> Path:
    if Path(text).suffix not in (".svg", ".png"):
        raise argparse.ArgumentTypeError("must end in .svg or .png")
    return Path(text)


def _at_least_zero(text: str) -> float:
    number = float(text)
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError("must be a number of at least 0")
    return number


def _whole(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("must be at least 0")
    return number


def _refuse(message: str) -> int:
    print(f"ratings: {' '.join(message.split())}", file=sys.stderr)  # noqa: T201
    return 2


def _print(text: str) -> int:
    try:
        sys.stdout.buffer.write(text.encode())
        sys.stdout.flush()
    except BrokenPipeError:  # somebody piped us into head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())
