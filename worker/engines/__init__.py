"""What the pool and a battle need of an engine; vLLM, a remote endpoint and the echo stand-in all are one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from worker.contract.catalog import ModelSpec
from worker.contract.jobs import Message, Sampling
from worker.memory import Bytes, Tier


@dataclass(frozen=True, slots=True)
class Piece:
    """A delta of text. Token counts are cumulative; ``finish_reason`` is set on the last piece only."""

    text: str
    completion_tokens: int
    prompt_tokens: int
    finish_reason: Literal["stop", "length"] | None = None


@dataclass(frozen=True, slots=True)
class EngineOrder:
    """What the pool asks of a new engine, beyond its catalog entry."""

    spec: ModelSpec
    kv_bytes: int
    """KV cache: the catalog's, or more when the engine has the memory to itself."""
    adapters: tuple[ModelSpec, ...] = ()
    """Contenders that are LoRA adapters over this engine's weights."""
    may_sleep: bool = False
    """The pool may call sleep(), so what sleep needs must be set up at load."""


class Engine(Protocol):
    """One model in memory, for itself and for the adapters over it. Methods are called on one asyncio loop.

    The pool calls ``start`` then ``load`` once; then any number of ``sleep`` → ``wake`` → ``verify``; ``unload`` last,
    in any state. Any method may be cancelled by a time limit, after which only ``unload`` is called.
    """

    spec: ModelSpec

    @property
    def alive(self) -> bool:
        """False once the engine can no longer answer; it must then be unloaded."""
        ...

    async def start(self) -> None:
        """Everything before weights are read: imports, settings, the process to be forked from. Raises LoadError."""
        ...

    async def load(self) -> None:
        """Ready to generate on return. Raises LoadError, after which unload() must still be called."""
        ...

    def generate(
        self, request_id: str, messages: Sequence[Message], sampling: Sampling, contender: ModelSpec | None = None
    ) -> AsyncGenerator[Piece, None]:
        """Stream one answer as ``contender`` (an adapter's entry; default the engine's own); closing it stops it.

        Raises PromptError, EngineDied, EngineRefused.
        """
        ...

    async def sleep(self, tier: Tier) -> None:
        """Give the memory of ``tier`` back; never called with requests running. Raises EngineError."""
        ...

    async def wake(self, tier: Tier) -> None:
        """Take it again. Raises EngineError."""
        ...

    async def verify(self) -> None:
        """Compare a few greedy canary tokens with those after load. Raises EngineError when they differ."""
        ...

    def held(self) -> Bytes | None:
        """Bytes measured as held by this engine now; None when this engine cannot tell."""
        ...

    async def unload(self) -> None:
        """Give everything back; safe to call in any state, any number of times."""
        ...


EngineFactory = Callable[[EngineOrder], Engine]


def engine_factory(models_dir: Path) -> EngineFactory:
    """The engine each catalog entry asks for. vLLM is first imported when the first vLLM engine starts."""

    def make(order: EngineOrder) -> Engine:
        if order.spec.engine == "echo":
            from worker.engines.echo import EchoEngine

            return EchoEngine(order)
        if order.spec.engine == "remote":
            from worker.engines.remote import RemoteEngine

            return RemoteEngine(order)
        from worker.engines.vllm import VllmEngine

        return VllmEngine(order, models_dir)

    return make
