"""Two engines streaming on the same machine: ours against two plain AsyncLLM.

A battle is one request on each engine, all battles begin at the same moment, and every answer is cut at the same
number of tokens; prompts, templates and sampling are the catalog's on both sides. An answer that ends earlier counts
for the tokens it has. Each side is one fresh process with both engines in it, which answer once before anything
counts. The other is AsyncLLM.from_engine_args with the same engine arguments and vLLM's defaults around it: on a CPU
these bind both engines to the same cores.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from ops.bench import children
from ops.bench.report import Row, paired

OTHER = "two plain AsyncLLM with the same arguments and vLLM's defaults"
PROMPTS = (
    "Explain at length why the sky is blue.",
    "Write a long story about a lighthouse.",
    "What is a hash table and when is it useful? Give details.",
    "Give ten tips for learning a language.",
    "Describe step by step how bread is made.",
    "What causes the seasons on Earth? Explain in detail.",
    "Write a Python program that sorts a list, with comments.",
    "Tell me about the history of the bicycle.",
)
Stream = Callable[[str, str, int], AsyncIterator[int]]
"""Request id, prompt and most tokens to the tokens counted so far, piece by piece."""


def add_arguments(parser: Any) -> None:
    parser.add_argument("--runs", type=int, default=3, help="paired runs (default 3)")
    parser.add_argument("--battles", default="4,16", help="battles at once (default 4,16)")
    parser.add_argument("--max-tokens", type=int, default=64, help="tokens per side (default 64)")
    parser.add_argument("--models", default="smollm2-135m,qwen2.5-coder-0.5b", help="two models of the catalog")
    parser.add_argument("--catalog", default="ops/catalogs/cpu.toml", help="where they are described")


def run(args: Any) -> tuple[str, list[Row]]:
    """Rows for the report: tokens per second of both engines together, and the worst first token of a run."""
    from ops.bench.engines import specs

    specs(args.catalog, args.models.split(","))
    sizes = [int(n) for n in args.battles.split(",")]
    found: dict[str, list[Any]] = {"ours": [], "other": []}
    for number in range(args.runs):
        for who in ("ours", "other") if number % 2 == 0 else ("other", "ours"):
            asked = {"catalog": args.catalog, "models": args.models.split(","), "tokens": args.max_tokens}
            found[who].append(children.ask("ops.bench.coresident", who=who, sizes=sizes, **asked))
    rows = []
    for at, size in enumerate(sizes):
        for which, (measure, unit) in enumerate((("tokens/s", "tokens/s"), ("worst first token", "s"))):
            ours, other = ([run[at][which] for run in found[who]] for who in ("ours", "other"))
            rows.append(paired(f"{measure}, {size} battles", unit, ours, other))
    return OTHER, rows


async def _measured(streams: Sequence[Stream], battles: int, tokens: int) -> tuple[float, float]:
    """Tokens per second of everything together; seconds to the last of all first tokens."""
    began = time.monotonic()

    async def one(stream: Stream, name: str, prompt: str) -> tuple[int, float]:
        total, first = 0, 0.0
        async for count in stream(name, prompt, tokens):
            total, first = count, first or time.monotonic() - began
        return total, first

    asks = [
        one(stream, f"{began}-{battle}-{side}", PROMPTS[battle % len(PROMPTS)])
        for battle in range(battles)
        for side, stream in enumerate(streams)
    ]
    answers = await asyncio.gather(*asks)
    return sum(count for count, _ in answers) / (time.monotonic() - began), max(first for _, first in answers)


async def _measure(streams: Sequence[Stream], sizes: Sequence[int], tokens: int) -> list[tuple[float, float]]:
    for size in (1, *sizes):  # everything has been done once before it counts
        await _measured(streams, size, tokens)
    return [await _measured(streams, size, tokens) for size in sizes]


async def _ours(catalog: str, models: list[str], sizes: list[int], tokens: int) -> list[tuple[float, float]]:
    from ops.bench import engines
    from worker.contract.jobs import Message, Sampling

    def stream_of(engine: Any) -> Stream:
        async def stream(name: str, prompt: str, most: int) -> AsyncIterator[int]:
            async for piece in engine.generate(name, (Message("user", prompt),), Sampling(max_tokens=most)):
                yield piece.completion_tokens

        return stream

    both = [engines.ours(spec) for spec in engines.specs(catalog, models)]
    try:
        for engine in both:
            await engine.start()
            await engine.load()
        return await _measure([stream_of(engine) for engine in both], sizes, tokens)
    finally:
        for engine in both:
            await engine.unload()


async def _plain(catalog: str, models: list[str], sizes: list[int], tokens: int) -> list[tuple[float, float]]:
    from ops.bench import engines
    from worker.contract.jobs import Message, Sampling
    from worker.engines.prompting import as_input, prompt_tokens, sampling_params, template_of

    specs = engines.specs(catalog, models)
    arguments = [engines.plain_arguments(spec) for spec in specs]
    from vllm.v1.engine.async_llm import AsyncLLM

    def stream_of(llm: Any, spec: Any) -> Stream:
        async def stream(name: str, prompt: str, most: int) -> AsyncIterator[int]:
            template = template_of(llm.tokenizer, spec, spec)
            assert template is not None
            tokens = prompt_tokens(llm.tokenizer, template, spec, (Message("user", prompt),))
            params = sampling_params(spec, Sampling(max_tokens=most), spec.max_model_len - len(tokens))
            count = 0
            async for out in llm.generate(as_input(tokens), params, name):
                count += len(out.outputs[0].token_ids)
                yield count

        return stream

    llms = [await asyncio.to_thread(AsyncLLM.from_engine_args, one) for one in arguments]
    try:
        streams = [stream_of(llm, spec) for llm, spec in zip(llms, specs, strict=True)]
        return await _measure(streams, sizes, tokens)
    finally:
        for llm in llms:
            llm.shutdown()


if __name__ == "__main__":
    asked = children.job()
    side = _ours if asked["who"] == "ours" else _plain
    children.answer(asyncio.run(side(asked["catalog"], asked["models"], asked["sizes"], asked["tokens"])))
