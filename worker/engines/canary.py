"""A few greedy tokens of every contender, asked at load and again after each wake: garbled weights change them.

No log-probabilities, though they would say more: asking for them makes vLLM compile a kernel, seconds per load. One
token could be right by chance, :data:`TOKENS` in a row hardly.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

from worker.engines.prompting import as_input

PROMPT = "The capital of France is"
"""Shorter than a cache block, so that it is computed anew each time."""
TOKENS = 4

Canaries = dict[str, tuple[int, ...]]
"""Contender → token ids."""


async def ask(llm: Any, tokenizer: Any, contenders: Mapping[str, Any]) -> Canaries:
    """Ask each of ``contenders`` (id → its LoRA request, None for the engine's own weights).

    One after the other: in a batch of its own each answer is the same every time.
    """
    from vllm import SamplingParams

    params = SamplingParams(temperature=0.0, max_tokens=TOKENS, ignore_eos=True, detokenize=False)
    prompt = as_input(list(tokenizer.encode(PROMPT)))
    found: Canaries = {}
    for contender, lora in contenders.items():
        answer = llm.generate(prompt, params, f"canary-{secrets.token_hex(8)}", lora_request=lora)
        async with aclosing(answer) as outputs:
            async for out in outputs:
                found[contender] = tuple(out.outputs[0].token_ids)
    return found


def difference(before: Canaries, after: Canaries) -> str:
    """Which contender answers otherwise than before, in words; empty when none does."""
    changed = (c for c, tokens in before.items() if after.get(c) != tokens)
    return "; ".join(f"the canary of {c} is {after.get(c)} instead of {before[c]}" for c in changed)
