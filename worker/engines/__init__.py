"""What the pool and a battle need of an engine; vLLM and the echo stand-in both are one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from worker.contract.catalog import ModelSpec
from worker.contract.jobs import Message, Sampling


@dataclass(frozen=True, slots=True)
class Piece:
    """A delta of text. Token counts are cumulative; ``finish_reason`` is set on the last piece only."""

    text: str
    completion_tokens: int
    prompt_tokens: int
    finish_reason: Literal["stop", "length"] | None = None


class Engine(Protocol):
    """One model that can generate. Methods are called on one asyncio loop."""

    spec: ModelSpec

    @property
    def alive(self) -> bool:
        """False once the engine can no longer answer; it must then be unloaded."""
        ...

    async def load(self) -> None:
        """Ready to generate on return. Raises LoadError, after which unload() must still be called."""
        ...

    def generate(self, request_id: str, messages: Sequence[Message], sampling: Sampling) -> AsyncGenerator[Piece, None]:
        """Stream one answer; closing the generator stops it. Raises PromptError, EngineDied."""
        ...

    async def unload(self) -> None:
        """Give everything back; safe to call in any state, any number of times."""
        ...


EngineFactory = Callable[[ModelSpec], Engine]


def engine_factory(models_dir: Path) -> EngineFactory:
    """The engine each catalog entry asks for. vLLM is first imported when the first vLLM engine loads."""

    def make(spec: ModelSpec) -> Engine:
        if spec.engine == "echo":
            from worker.engines.echo import EchoEngine

            return EchoEngine(spec)
        from worker.engines.vllm import VllmEngine

        return VllmEngine(spec, models_dir)

    return make
