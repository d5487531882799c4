"""Put prompts before a running arena from a terminal and print what came of each side.

``python -m ops.ask --url http://127.0.0.1:5000 "Why is the sky blue?"``, or ``--file prompts.jsonl --count 10``. Each
battle is voted (``--vote tie`` unless told otherwise) so that names and figures can be shown: not for a public board.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError

from ops.client import Client, Refused
from worker.contract.events import SIDES


def prompts_of(file: Path, count: int) -> Iterator[str]:
    """Prompts of a JSONL file, evenly spread: a ``prompt`` or the first of ``turns`` of each line."""
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line.strip()]
    step = max(len(lines) // count, 1)
    for entry in lines[::step][:count]:
        yield entry["prompt"] if "prompt" in entry else entry["turns"][0]


def ask(client: Client, prompt: str, winner: str, timeout: float) -> list[dict[str, Any]]:
    """One battle; a row per side. ``shown_s``: when its first text reached this socket."""
    battle = client.start(prompt)
    watched = client.watch(battle, timeout=timeout)
    if not watched.view.votable:
        return [{"model": "-", "ended": watched.view.state, "prompt": prompt}]
    models = client.vote(battle, winner)["models"]
    turn = watched.view.turns[-1]
    return [
        {
            "model": models[side]["id"],
            "ended": getattr(turn, side).finish_reason,
            "tokens": models[side]["completion_tokens"],
            "tokens_per_s": models[side]["tokens_per_s"],
            "first_token_s": models[side]["first_token_s"],
            "shown_s": watched.first_token_s(side),
            "prompt": prompt,
        }
        for side in SIDES
    ]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m ops.ask", description=__doc__)
    parser.add_argument("prompts", nargs="*", metavar="PROMPT")
    parser.add_argument("--url", default="http://127.0.0.1:5000")
    parser.add_argument("--file", type=Path, help="JSONL with a prompt, or turns, per line")
    parser.add_argument("--count", type=int, default=10, help="how many prompts of the file")
    parser.add_argument("--vote", choices=("a", "b", "tie", "both_bad"), default="tie")
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds per battle")
    args = parser.parse_args(argv)
    wanted = [*args.prompts, *(prompts_of(args.file, args.count) if args.file else ())]
    if not wanted:
        parser.error("no prompt: give some, or --file")
    client = Client(args.url, timeout=args.timeout)
    print(f"{'side':<6}{'model':<24}{'ended':<11}{'tokens':>7}{'tok/s':>8}{'first s':>9}{'shown s':>9}  prompt")
    failed = 0
    for prompt in wanted:
        try:
            rows = ask(client, prompt, args.vote, args.timeout)
        except (Refused, URLError, TimeoutError, ConnectionError) as error:
            print(f"ask: {error}", file=sys.stderr)
            failed += 1
            continue
        for side, row in zip(SIDES, rows, strict=False):
            print(_line(side, row), flush=True)
    return 1 if failed else 0


def _line(side: str, row: dict[str, Any]) -> str:
    figures = [row.get(k) for k in ("tokens_per_s", "first_token_s", "shown_s")]
    speed, first, shown = ("-" if f is None else f"{f:.2f}" for f in figures)
    head = f"{side:<6}{row['model']:<24}{row['ended']:<11}{row.get('tokens', '-'):>7}{speed:>8}{first:>9}{shown:>9}"
    return f"{head}  {row['prompt'].splitlines()[0][:44]}"


if __name__ == "__main__":
    sys.exit(main())
