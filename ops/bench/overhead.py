"""What the arena adds: battles through REST, Celery, Redis and websocket against the same engines called directly.

Both have the same pair: two engines of one model, from catalog entries that differ in nothing but their names, so that
every draw is the same work. Decoding is greedy and pacing is off. The other is one process with both engines in it,
started as the worker starts them and asked for both sides of each battle at the moment at which the visitor posts its
prompt. Both stand side by side; while one is measured the other is idle. Visitors come one shortly after the other
(--apart), or all at the same moment (--apart 0); a visitor is a page in which somebody has written: its session, its
connection and its socket are there. First token: from before the prompt is posted until a side's first text is in the
visitor's hands.

The engines of both have cores of their own, as they have a GPU elsewhere, and all else has the first core; with
--cores shared both compete for all cores, and what the arena takes of them counts as well.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.client
import json
import re
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from ops.bench.arena import ROOT, chosen, running_arena
from ops.bench.cores import arena_on_one, give, new_engines
from ops.bench.overhead_direct import SETTLE_S, Run, answering
from ops.bench.report import Row, paired
from ops.bench.throughput import PROMPTS
from ops.client import Client
from worker.contract.events import SIDES, SideDone

OTHER = "the same engines called directly in one process"
PAIR = ("overhead-left", "overhead-right")


def add_arguments(parser: Any) -> None:
    parser.add_argument("--runs", type=int, default=5, help="paired runs (default 5)")
    parser.add_argument("--battles", default="1,8", help="battles at once (default 1,8)")
    parser.add_argument("--apart", type=float, default=0.25, help="seconds between two visitors (default 0.25)")
    parser.add_argument("--cores", choices=("apart", "shared"), default="apart", help="the engines' (default apart)")
    parser.add_argument("--max-tokens", type=int, default=96, help="tokens per side (default 96)")
    parser.add_argument("--model", default="qwen2.5-coder-0.5b", help="a model of the catalog, or `echo`")
    parser.add_argument("--catalog", default="ops/catalogs/cpu.toml", help="where it is described")


def run(args: Any) -> tuple[str, list[Row]]:
    """Rows for the report; the first token's ``ratio`` is a ratio too, what was added is a row of its own."""
    sizes = [int(n) for n in args.battles.split(",")]
    found: dict[int, list[tuple[Run, Run]]] = {size: [] for size in sizes}
    with tempfile.TemporaryDirectory(prefix="arena-bench-") as name:
        catalog = Path(name) / "pair.toml"
        catalog.write_text(pair_of(args.catalog, args.model))
        with _both(catalog, args) as (url, direct):
            for size in sizes:  # everything has been done once before it counts
                _through(url, _prompts(size, "warm"), args.apart)
                direct(_prompts(size, "warm"), args.apart)
            for number in range(args.runs):
                for size in sizes:
                    asked = _prompts(size, str(number))
                    if number % 2:
                        other = direct(asked, args.apart)
                        found[size].append((_through(url, asked, args.apart), other))
                    else:
                        ours = _through(url, asked, args.apart)
                        found[size].append((ours, direct(asked, args.apart)))
    return OTHER, [row for size, runs in found.items() for row in _rows(size, runs)]


@contextlib.contextmanager
def _both(catalog: Path, args: Any) -> Iterator[tuple[str, Any]]:
    """The arena's address and the other's ``ask``, their engines loaded and where ``--cores`` wants them."""
    with contextlib.ExitStack() as stack:
        theirs = stack.enter_context(arena_on_one()) if args.cores == "apart" else None
        with new_engines() as engines:
            arena = running_arena(str(catalog), PAIR, max_tokens=args.max_tokens, env={"ARENA_PACE": "0"})
            url = stack.enter_context(arena)
            direct = stack.enter_context(answering(catalog, args.max_tokens))
            _through(url, _prompts(1, "load"), 0.0)
        if theirs is not None:
            give(theirs, engines)
        yield url, direct


def _rows(size: int, runs: Sequence[tuple[Run, Run]]) -> list[Row]:
    battles = f"{size} battle{'s' * (size > 1)}"
    first = [(median(a.first_s), median(b.first_s)) for a, b in runs]
    added = median(x - y for a, b in runs for x, y in zip(a.first_s, b.first_s, strict=True))
    return [
        paired(f"first token, {battles}", "s", [a for a, _ in first], [b for _, b in first]),
        Row(f"first token added, p50, {battles}", added * 1000, 0.0, 0.0, "ms", len(runs)),
        paired(f"tokens/s, {battles}", "tokens/s", [a.rate for a, _ in runs], [b.rate for _, b in runs]),
    ]


def _prompts(count: int, mark: str) -> list[str]:
    """Never the same twice: an engine would remember it."""
    return [f"[{mark}.{n}] {PROMPTS[n % len(PROMPTS)]}" for n in range(count)]


def pair_of(catalog: str, model: str) -> str:
    """A catalog of one model under two names, decoding greedily."""
    if model == "echo":
        entry = 'engine = "echo"\necho = {tokens_per_s = 50, first_token_s = 0.1, length = 96, seed = 1}\n'
        return "".join(_named(one) + entry for one in PAIR)
    from ops.bench.engines import folder, specs

    (spec,) = specs(catalog, [model])
    entry = chosen(ROOT / catalog, [model]).partition("[[models]]\n")[2].partition("[[models.sources]]")[0]
    kept = [
        line
        for line in entry.splitlines()
        if not re.match(r"(id|name|maker|family|licence|format|tie_embeddings|sampling)\s*=", line)
    ]
    same = "\n".join([*kept, f'path = "{folder(spec)}"', "sampling = { temperature = 0.0 }", ""])
    return _named(PAIR[0]) + same + _named(PAIR[1]) + f'variant_of = "{PAIR[0]}"\n' + same


def _named(one: str) -> str:
    return f'[[models]]\nid = "{one}"\nname = "{one}"\nmaker = "bench"\nfamily = "{one}"\nlicence = "bench"\n'


# ── through the arena ────────────────────────────────────────────────────────────────────────────────────────────


def _through(url: str, prompts: Sequence[str], apart: float) -> Run:
    with concurrent.futures.ThreadPoolExecutor(len(prompts)) as threads:
        pages = list(threads.map(_Page, [url] * len(prompts)))
        time.sleep(SETTLE_S)
        began = time.monotonic()
        moments = [began + apart * n for n in range(len(prompts))]
        battles = list(threads.map(_battle, pages, prompts, moments))
    spent = max(battle.ended for battle in battles) - began
    tokens = 0
    for page, battle in zip(pages, battles, strict=True):
        models = page.visitor.vote(battle.id, "tie")["models"]
        tokens += sum(models[side]["completion_tokens"] for side in SIDES)
    return Run([first for battle in battles for first in battle.first_s], tokens / spent)


class _Page:
    """What a page has that somebody has written a prompt into."""

    def __init__(self, url: str) -> None:
        self.visitor = Client(url, timeout=600)
        self.visitor.visit()
        self.socket = self.visitor.connect()
        parts = urlsplit(url)
        self._line = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=600)
        self._line.connect()
        self._line.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        cookie = "; ".join(f"{c.name}={c.value}" for c in self.visitor.cookies)
        self._headers = {"Content-Type": "application/json", "Origin": url, "Cookie": cookie}

    def start(self, prompt: str) -> str:
        self._line.request("POST", "/api/battles", json.dumps({"prompt": prompt}).encode(), self._headers)
        return str(json.loads(self._line.getresponse().read())["id"])


@dataclass(frozen=True, slots=True)
class _Battle:
    id: str
    first_s: list[float]
    ended: float


def _battle(page: _Page, prompt: str, at: float) -> _Battle:
    time.sleep(max(0.0, at - time.monotonic()))
    began = time.monotonic()
    battle = page.start(prompt)
    posted = time.monotonic() - began
    watched = page.visitor.watch(battle, timeout=600, socket=page.socket)
    assert watched.view.votable, f"battle {battle} ended {watched.view.state}"
    ended = began + posted + max(at for at, event in watched.events if isinstance(event, SideDone))
    return _Battle(battle, [posted + (watched.first_token_s(side) or 0.0) for side in SIDES], ended)
