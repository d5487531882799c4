"""A deterministic stand-in for a model: the whole arena runs on it without weights, in tests and on a laptop.

It is no mock. It loads, streams, counts tokens, overflows its context, dies and unloads like an engine; only the words
are made up, from the catalog entry's script and the prompt, so the same question always gets the same answer.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import re
from collections.abc import AsyncGenerator, Iterator, Sequence

from worker.contract.catalog import EchoScript, ModelSpec
from worker.contract.jobs import Message, Sampling
from worker.engines import EngineOrder, Piece
from worker.errors import ContextOverflow, EngineDied, EngineError, LoadError
from worker.memory import Bytes, Tier

_PROSE = (
    "the answer follows from a simple idea which one can check by hand and then trust because every step "
    "is small first note what is given next ask what is wanted then look for the shortest path between "
    "both of them some say that this is obvious others disagree and write it down with care in either "
    "case it holds up well under questions "
)
_WORDS = tuple(_PROSE.split())


class EchoEngine:
    """An :class:`worker.engines.Engine` that needs no model."""

    def __init__(self, order: EngineOrder) -> None:
        self.spec = order.spec
        self._script = order.spec.echo or EchoScript()
        self._alive = False
        self._asleep: Tier | None = None
        self._asked = 0

    @property
    def alive(self) -> bool:
        return self._alive

    async def start(self) -> None:
        """Nothing to prepare."""

    async def load(self) -> None:
        await asyncio.sleep(self._script.load_s)
        if self._script.fail == "load":
            raise LoadError(self.spec.id, "its script says that loading fails")
        self._alive = True

    async def sleep(self, tier: Tier) -> None:
        self._asleep = tier

    async def wake(self, tier: Tier) -> None:
        await asyncio.sleep(self._script.wake_s)
        if self._script.fail == "wake":
            raise EngineError(self.spec.id, "its script says that waking fails")
        self._asleep = None

    async def verify(self) -> None:
        if self._script.fail == "canary":
            raise EngineError(self.spec.id, "its script says that the canary differs after waking")

    def held(self) -> Bytes | None:
        return None

    async def unload(self) -> None:
        self._alive = False

    def die(self) -> None:
        """What a crash of the engine process is to a real engine; for tests."""
        self._alive = False

    async def generate(
        self, request_id: str, messages: Sequence[Message], sampling: Sampling, contender: ModelSpec | None = None
    ) -> AsyncGenerator[Piece, None]:
        script = self._script if contender is None or contender.echo is None else contender.echo
        prompt_tokens = sum(len(m.content.split()) + 4 for m in messages)
        limit = min(sampling.max_tokens or self.spec.max_tokens, self.spec.max_tokens)
        if prompt_tokens >= self.spec.max_model_len:
            raise ContextOverflow(prompt_tokens, self.spec.max_model_len)
        if script.fail == "start":
            raise EngineDied(self.spec.id, "its script says that it dies before the first token")
        self._asked += 1
        dies = self._asked == self._script.lifespan
        words = _until_stopped(list(answer(script, messages[-1].content)), (*self.spec.stop, *sampling.stop))
        await asyncio.sleep(script.first_token_s)
        pause = 1.0 / script.tokens_per_s
        for count, word in enumerate(words, 1):
            if dies and count > len(words) // 2:
                self.die()
            if not self._alive:
                raise EngineDied(self.spec.id, "it stopped while answering")
            if script.fail == "midway" and count > len(words) // 2:
                raise EngineDied(self.spec.id, "its script says that it dies midway")
            last = count == len(words) or count == limit
            reason = None if not last else ("stop" if count == len(words) else "length")
            yield Piece(word, count, prompt_tokens, reason)  # type: ignore[arg-type]
            if last:
                return
            await asyncio.sleep(pause)


def _until_stopped(words: list[str], stops: Sequence[str]) -> list[str]:
    """The answer up to the first of ``stops``, as a model's would be; always at least one piece."""
    text = "".join(words)
    end = min((at for stop in stops if (at := text.find(stop)) >= 0), default=len(text))
    kept: list[str] = []
    for word in words:
        left = end - sum(map(len, kept))
        if left <= 0:
            break
        kept.append(word[:left])
    return kept or [""]


def answer(script: EchoScript, prompt: str) -> Iterator[str]:
    """The tokens of the script's answer to ``prompt``, spaces and line breaks included."""
    seed = hashlib.sha256(f"{script.seed}\0{prompt}".encode()).digest()
    rng = random.Random(seed)  # noqa: S311 (made-up words, not secrets)
    opening = re.findall(r"\s*\S+\s*?(?=\s|$)|\s+", script.text.replace("{prompt}", prompt))[: script.length]
    yield from opening
    count = len(opening)
    sentence = 0
    while count < script.length:
        word = rng.choice(_WORDS)
        word = word.capitalize() if sentence == 0 else word
        sentence += 1
        count += 1
        if sentence > rng.randint(6, 14) or count == script.length:
            yield word + (".\n\n" if rng.random() < 0.25 and count < script.length else ". ")
            sentence = 0
        else:
            yield word + " "
