"""An application that calls the arena's models: two of them at once, streamed, tried again when that helps.

``VLLM_BASE_URL`` is the arena's port inside, ``http://HOST:8000`` (with or without ``/v1``). ``USE_VLLM=false`` turns
the models off; ``ARENA_MODE_ENABLED=true`` asks two models instead of one. ``VLLM_API_KEY`` is a key with scope
``chat``, where the arena asks for one. Needs ``pip install openai``. Run: ``python ops/examples/caller.py "Why?"``
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from openai import APIConnectionError, APIStatusError, AsyncOpenAI

TRIES = 5
WORTH_ANOTHER_TRY = {429, 502, 503, 504}


@dataclass(frozen=True)
class Settings:
    """What the three names of the application's ``.env`` say."""

    base_url: str
    enabled: bool
    arena: bool
    api_key: str

    @classmethod
    def read(cls, env: Mapping[str, str]) -> Settings:
        url = env.get("VLLM_BASE_URL", "http://127.0.0.1:8000").rstrip("/").removesuffix("/v1")
        return cls(
            base_url=f"{url}/v1",
            enabled=_true(env.get("USE_VLLM", "true")),
            arena=_true(env.get("ARENA_MODE_ENABLED", "false")),
            api_key=env.get("VLLM_API_KEY") or "none-needed-inside",
        )


def _true(word: str) -> bool:
    return word.strip().lower() in ("1", "true", "yes", "on")


@dataclass
class Answer:
    """``text`` grows as it streams; ``finish_reason`` is ``stop`` or ``length`` once it is whole."""

    model: str
    text: str = ""
    finish_reason: str = ""


async def ask(client: AsyncOpenAI, model: str, prompt: str, show: Callable[[str, str], None]) -> Answer:
    """One model's answer. Tried again, a little later each time, as long as nothing of it has been shown."""
    answer = Answer(model)
    for attempt in range(1, TRIES + 1):
        try:
            stream = await client.chat.completions.create(
                model=model, messages=[{"role": "user", "content": prompt}], temperature=0.7, stream=True
            )
            async for chunk in stream:
                for choice in chunk.choices:
                    if choice.delta.content:
                        answer.text += choice.delta.content
                        show(model, choice.delta.content)
                    answer.finish_reason = choice.finish_reason or answer.finish_reason
            return answer
        except (APIStatusError, APIConnectionError) as error:
            status = getattr(error, "status_code", 503)
            if answer.text or attempt == TRIES or status not in WORTH_ANOTHER_TRY:
                raise
            await asyncio.sleep(_wait(error, attempt))
    raise AssertionError("the last try returns or raises")


def _wait(error: Exception, attempt: int) -> float:
    """As long as the arena says (``Retry-After``), else a little longer each time; never quite as long as others."""
    response = getattr(error, "response", None)
    said = response.headers.get("retry-after") if response is not None else None
    return (float(said) if said else 0.5 * 2**attempt) * random.uniform(1.0, 1.25)  # noqa: S311


async def compare(settings: Settings, prompt: str, show: Callable[[str, str], None]) -> list[Answer]:
    """Two models drawn at random, both at once; one where the arena's mode is off. Hanging up ends the generation."""
    if not settings.enabled:
        return []
    async with AsyncOpenAI(base_url=settings.base_url, api_key=settings.api_key, timeout=600, max_retries=0) as client:
        models = [m.id async for m in client.models.list()]
        chosen = random.sample(models, 2 if settings.arena else 1)
        return list(await asyncio.gather(*(ask(client, m, prompt, show) for m in chosen)))


def main() -> None:
    prompt = " ".join(sys.argv[1:]) or "Why is the sky blue?"
    settings = Settings.read(os.environ)
    for answer in asyncio.run(compare(settings, prompt, lambda model, text: None)):
        print(f"── {answer.model} ({answer.finish_reason})\n{answer.text}\n")


if __name__ == "__main__":
    main()
