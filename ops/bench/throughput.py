"""Sixteen battles at once against the same sixteen one by one: what continuous batching is worth in the arena.

Everything is real: prompts over REST, jobs through Celery, tokens over Redis and websockets, two vLLM engines. A
catalog of two models keeps the pair the same; pacing is off, since it would make single battles look slower.
"""

from __future__ import annotations

import concurrent.futures
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ops.bench.arena import running_arena
from ops.bench.report import Row, paired
from ops.client import Client

OTHER = "the same battles one by one"
PROMPTS = (
    "Explain why the sky is blue.",
    "Write a short poem about rain.",
    "What is a hash table and when is it useful?",
    "Give three tips for learning a language.",
    "Describe how bread is made.",
    "What causes the seasons on Earth?",
    "Write a Python function that reverses a string.",
    "Tell me about the history of the bicycle.",
    "How does a refrigerator work?",
    "Compare cats and dogs as pets.",
    "What is inflation, in simple words?",
    "Suggest a plan for a day in the mountains.",
    "Explain recursion with an example.",
    "Why do people yawn?",
    "Write a polite email asking for a day off.",
    "What makes a good story?",
)


@dataclass(frozen=True, slots=True)
class Run:
    """``tokens`` of both sides together; ``first_token_s`` the worst of the run."""

    tokens: int
    seconds: float
    first_token_s: float


def add_arguments(parser: Any) -> None:
    parser.add_argument("--battles", type=int, default=16, help="battles per run (default 16)")
    parser.add_argument("--runs", type=int, default=3, help="paired runs (default 3)")
    parser.add_argument("--max-tokens", type=int, default=96, help="tokens per side at most (default 96)")
    parser.add_argument("--models", default="smollm2-135m,qwen2.5-coder-0.5b", help="two models of the catalog")
    parser.add_argument("--catalog", default="ops/catalogs/cpu.toml", help="where they are described")


def run(args: Any) -> tuple[str, list[Row]]:
    """Rows for the report; raises AssertionError when a battle does not finish."""
    prompts = [PROMPTS[i % len(PROMPTS)] for i in range(args.battles)]
    models = args.models.split(",")
    together: list[Run] = []
    alone: list[Run] = []
    with running_arena(args.catalog, models, max_tokens=args.max_tokens, env={"ARENA_PACE": "0"}) as url:
        _measure(url, prompts[:1], 1)  # both engines have answered once before anything counts
        for _ in range(args.runs):
            alone.append(_measure(url, prompts, 1))
            together.append(_measure(url, prompts, len(prompts)))
    n = args.battles
    return OTHER, [
        paired(
            f"tokens/s, {n} battles, both engines together",
            "tokens/s",
            [r.tokens / r.seconds for r in together],
            [r.tokens / r.seconds for r in alone],
        ),
        paired(f"seconds for {n} battles", "s", [r.seconds for r in together], [r.seconds for r in alone]),
        paired("worst first token", "s", [r.first_token_s for r in together], [r.first_token_s for r in alone]),
    ]


def _measure(url: str, prompts: Sequence[str], at_once: int) -> Run:
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(at_once) as threads:
        battles = list(threads.map(lambda prompt: _battle(url, prompt), prompts))
    seconds = time.monotonic() - began
    tokens = sum(_tokens(client, battle) for client, battle, _ in battles)
    return Run(tokens, seconds, max(first for _, _, first in battles))


def _battle(url: str, prompt: str) -> tuple[Client, str, float]:
    client = Client(url, timeout=600)
    battle = client.start(prompt)
    watched = client.watch(battle, timeout=1200)
    assert watched.view.votable, f"battle {battle} ended {watched.view.state}"
    return client, battle, max(watched.first_token_s("a") or 0.0, watched.first_token_s("b") or 0.0)


def _tokens(client: Client, battle: str) -> int:
    models = client.vote(battle, "tie")["models"]
    return sum(models[side]["completion_tokens"] for side in ("a", "b"))
