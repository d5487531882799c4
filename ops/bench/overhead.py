"""What the arena adds: battles through REST, Celery, Redis and websocket against the same engines called directly.

Both have the same pair: two engines of one model, from catalog entries that differ in nothing but their names, so that
every draw is the same work. Decoding is greedy and pacing is off. The other is one process with both engines in it,
started as the worker starts them and asked for both sides of all battles at the same moment. Both stand side by side;
while one is measured the other is idle. First token: from before the prompt is posted until a side's first text is in
the visitor's hands.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from ops.bench.arena import ROOT, chosen, running_arena
from ops.bench.report import Row, paired
from ops.bench.throughput import PROMPTS
from ops.client import Client
from worker.contract.events import SIDES, SideDone

OTHER = "the same engines called directly in one process"
PAIR = ("overhead-left", "overhead-right")


@dataclass(frozen=True, slots=True)
class Run:
    """``first_s``: of every side of every battle, in the order of the prompts; ``rate``: tokens/s of all together."""

    first_s: list[float]
    rate: float


def add_arguments(parser: Any) -> None:
    parser.add_argument("--runs", type=int, default=5, help="paired runs (default 5)")
    parser.add_argument("--battles", default="1,8", help="battles at once (default 1,8)")
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
        arena = running_arena(str(catalog), PAIR, max_tokens=args.max_tokens, env={"ARENA_PACE": "0"})
        with arena as url, _direct(catalog, args.max_tokens) as direct:
            for size in sizes:  # everything has been done once before it counts
                _through(url, _prompts(size, "warm"))
                direct(_prompts(size, "warm"))
            for number in range(args.runs):
                for size in sizes:
                    asked = _prompts(size, str(number))
                    if number % 2:
                        other = direct(asked)
                        found[size].append((_through(url, asked), other))
                    else:
                        ours = _through(url, asked)
                        found[size].append((ours, direct(asked)))
    return OTHER, [row for size, runs in found.items() for row in _rows(size, runs)]


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
    return "".join(_named(one) + same for one in PAIR)


def _named(one: str) -> str:
    return f'[[models]]\nid = "{one}"\nname = "{one}"\nmaker = "bench"\nfamily = "{one}"\nlicence = "bench"\n'


# ── through the arena ────────────────────────────────────────────────────────────────────────────────────────────


def _through(url: str, prompts: Sequence[str]) -> Run:
    visitors = [Client(url, timeout=600) for _ in prompts]
    for visitor in visitors:
        visitor.request("GET", "/api/leaderboard")  # has its cookie, as a page that is open has
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(len(prompts)) as threads:
        battles = list(threads.map(_battle, visitors, prompts))
    spent = max(ended for _, _, ended in battles) - began
    tokens = 0
    for visitor, (battle, _, _) in zip(visitors, battles, strict=True):
        models = visitor.vote(battle, "tie")["models"]
        tokens += sum(models[side]["completion_tokens"] for side in SIDES)
    return Run([first for _, firsts, _ in battles for first in firsts], tokens / spent)


def _battle(visitor: Client, prompt: str) -> tuple[str, list[float], float]:
    began = time.monotonic()
    battle = visitor.start(prompt)
    posted = time.monotonic() - began
    watched = visitor.watch(battle, timeout=600)
    assert watched.view.votable, f"battle {battle} ended {watched.view.state}"
    ended = began + posted + max(at for at, event in watched.events if isinstance(event, SideDone))
    return battle, [posted + (watched.first_token_s(side) or 0.0) for side in SIDES], ended


# ── directly ─────────────────────────────────────────────────────────────────────────────────────────────────────


@contextlib.contextmanager
def _direct(catalog: Path, max_tokens: int) -> Iterator[Any]:
    """A function from prompts to a Run, answered by a process that holds both engines."""
    command = [sys.executable, "-m", "ops.bench.overhead", str(catalog), str(max_tokens)]
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True
        )
        assert child.stdin is not None
        assert child.stdout is not None
        into, out = child.stdin, child.stdout

        def answered() -> Any:
            for line in out:
                if line.startswith(_MARK):
                    return json.loads(line.removeprefix(_MARK))
            said.seek(0)
            raise SystemExit(f"the engines ended:\n{said.read().decode(errors='replace')[-3000:]}")

        def ask(prompts: Sequence[str]) -> Run:
            print(json.dumps(list(prompts)), file=into, flush=True)
            return Run(**answered())

        try:
            answered()  # ready
            yield ask
        finally:
            into.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(60)
            child.kill()
            child.wait()


_MARK = "overhead> "


async def _serve(catalog: str, max_tokens: int) -> None:
    from ops.bench.engines import order
    from worker.contract.catalog import load_catalog
    from worker.engines import engine_factory
    from worker.settings import default_models_dir

    make = engine_factory(default_models_dir())
    engines = [make(order(spec)) for spec in load_catalog(Path(catalog)).models]
    try:
        for engine in engines:
            await engine.start()
            await engine.load()
        print(_MARK + "true", flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            print(_MARK + json.dumps(await _ask(engines, json.loads(line), max_tokens)), flush=True)
    finally:
        for engine in engines:
            await engine.unload()


async def _ask(engines: Sequence[Any], prompts: Sequence[str], max_tokens: int) -> dict[str, Any]:
    from worker.contract.jobs import Message, Sampling

    began = time.monotonic()

    async def one(engine: Any, name: str, prompt: str) -> tuple[int, float]:
        count, first = 0, 0.0
        async for piece in engine.generate(name, (Message("user", prompt),), Sampling(max_tokens=max_tokens)):
            if piece.text and not first:
                first = time.monotonic() - began
            count = piece.completion_tokens
        return count, first

    asks = [one(engine, f"{began}.{n}.{m}", p) for n, p in enumerate(prompts) for m, engine in enumerate(engines)]
    answers = await asyncio.gather(*asks)
    return {"first_s": [f for _, f in answers], "rate": sum(c for c, _ in answers) / (time.monotonic() - began)}


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], int(sys.argv[2])))
