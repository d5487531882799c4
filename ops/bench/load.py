"""Cold load of an engine: ours, as a worker starts its second and later ones, against plain AsyncLLM.

Ours is VllmEngine's start() and load() in a process that has had one engine before: the first pays for importing vLLM
and is not counted. Every model is loaded twice: the first time its tokenizer is new to the worker too.

The other is AsyncLLM.from_engine_args in a fresh interpreter with vLLM's defaults, given exactly the same engine
arguments (weights' type, context, KV bytes, eager). Importing vLLM in that interpreter is not counted either, to be
fair to it. Both end ready to take messages and stream text; the files of all models are in the page cache before.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from ops.bench import children
from ops.bench.report import Row, paired

OTHER = "plain AsyncLLM, started in its own process with the same arguments; its import of vLLM not counted"


def add_arguments(parser: Any) -> None:
    parser.add_argument("--runs", type=int, default=3, help="paired runs (default 3)")
    parser.add_argument("--models", default="smollm2-135m,qwen2.5-coder-0.5b", help="models of the catalog")
    parser.add_argument("--first", default="minimind2-small", help="the engine before them, not counted")
    parser.add_argument("--catalog", default="ops/catalogs/cpu.toml", help="where they are described")


def run(args: Any) -> tuple[str, list[Row]]:
    """Rows for the report: seconds from the call until ready, and the same again for each model."""
    from ops.bench.engines import read_once, specs

    models = args.models.split(",")
    for spec in specs(args.catalog, [args.first, *models]):
        read_once(spec)
    ours: list[list[float]] = []
    other: list[list[float]] = []
    for number in range(args.runs):
        for who in ("ours", "other") if number % 2 == 0 else ("other", "ours"):
            if who == "ours":
                loads = [args.first, *models, *models]
                ours.append(children.ask("ops.bench.load", catalog=args.catalog, ours=loads)[1:])
            else:
                ask = [children.ask("ops.bench.load", catalog=args.catalog, plain=model) for model in models]
                other.append([*ask, *ask])
    words = ["first time in this worker", "again"]
    names = [f"{model}, {word}" for word in words for model in models]
    return OTHER, [
        paired(name, "s", [run[at] for run in ours], [run[at] for run in other]) for at, name in enumerate(names)
    ]


async def _ours(catalog: str, models: list[str]) -> list[float]:
    from ops.bench import engines

    seconds = []
    for spec in engines.specs(catalog, models):
        engine = engines.ours(spec)
        began = time.monotonic()
        await engine.start()
        await engine.load()
        seconds.append(time.monotonic() - began)
        await engine.unload()
    return seconds


def _plain(catalog: str, model: str) -> float:
    from ops.bench import engines

    [spec] = engines.specs(catalog, [model])
    arguments = engines.plain_arguments(spec)
    from vllm.v1.engine.async_llm import AsyncLLM

    began = time.monotonic()
    llm = AsyncLLM.from_engine_args(arguments)
    seconds = time.monotonic() - began
    llm.shutdown()
    return seconds


if __name__ == "__main__":
    asked = children.job()
    if "ours" in asked:
        children.answer(asyncio.run(_ours(asked["catalog"], asked["ours"])))
    else:
        children.answer(_plain(asked["catalog"], asked["plain"]))
