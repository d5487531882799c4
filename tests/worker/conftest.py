"""A catalog of stand-ins, and engines whose loading the test controls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field

import pytest

from worker.contract.catalog import Catalog, EchoScript, ModelSpec
from worker.contract.jobs import Message, Sampling
from worker.engines import EngineOrder, Piece
from worker.errors import EngineError, LoadError
from worker.memory import Bytes, Tier


def spec(model: str, **echo: object) -> ModelSpec:
    return ModelSpec(
        id=model,
        name=model.upper(),
        maker="nobody",
        family=f"family-{model}",
        licence="MIT",
        engine="echo",
        echo=EchoScript(**echo),  # type: ignore[arg-type]
    )


@pytest.fixture
def make_spec() -> Callable[..., ModelSpec]:
    return spec


@dataclass
class HandEngine:
    """Loads when told to, dies when told to; never generates."""

    spec: ModelSpec
    loaded: asyncio.Event = field(default_factory=asyncio.Event)
    fail: str = ""
    alive: bool = False
    unloads: int = 0
    slept: list[Tier] = field(default_factory=list)
    fail_wake: str = ""
    verified: int = 0

    async def start(self) -> None: ...

    async def sleep(self, tier: Tier) -> None:
        self.slept.append(tier)

    async def wake(self, tier: Tier) -> None:
        if self.fail_wake:
            raise EngineError(self.spec.id, self.fail_wake)

    async def verify(self) -> None:
        self.verified += 1

    def held(self) -> Bytes | None:
        return None

    async def load(self) -> None:
        await self.loaded.wait()
        if self.fail:
            raise LoadError(self.spec.id, self.fail)
        self.alive = True

    async def unload(self) -> None:
        self.alive = False
        self.unloads += 1

    async def generate(
        self, request_id: str, messages: Sequence[Message], sampling: Sampling, contender: ModelSpec | None = None
    ) -> AsyncGenerator[Piece, None]:
        raise AssertionError("not in this test")
        yield


@dataclass
class Hand:
    """A factory that keeps what it made; ``auto`` engines load at once."""

    auto: bool = True
    made: dict[str, list[HandEngine]] = field(default_factory=dict)
    orders: dict[str, list[EngineOrder]] = field(default_factory=dict)
    fail: dict[str, str] = field(default_factory=dict)

    def __call__(self, order: EngineOrder) -> HandEngine:
        spec_ = order.spec
        engine = HandEngine(spec_, fail=self.fail.get(spec_.id, ""))
        if self.auto:
            engine.loaded.set()
        self.made.setdefault(spec_.id, []).append(engine)
        self.orders.setdefault(spec_.id, []).append(order)
        return engine

    def last(self, model: str) -> HandEngine:
        return self.made[model][-1]


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.fixture
def catalog() -> Catalog:
    return Catalog(tuple(spec(m) for m in ("ant", "bee", "cat", "dog")))
