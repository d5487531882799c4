"""A job's hold on its engines, and its wait for them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field

from worker.contract.catalog import ModelSpec
from worker.contract.jobs import Message, Sampling
from worker.engines import Engine, Piece
from worker.errors import ModelUnavailable, NotTogether, Overloaded, Refused
from worker.pool.states import Refusal, Waiter


@dataclass(frozen=True, slots=True)
class Contender:
    """One model of a lease, ready to answer: an engine, and the entry it answers as."""

    engine: Engine
    spec: ModelSpec

    def generate(self, request_id: str, messages: Sequence[Message], sampling: Sampling) -> AsyncGenerator[Piece, None]:
        """See :meth:`worker.engines.Engine.generate`."""
        return self.engine.generate(request_id, messages, sampling, self.spec)


@dataclass(slots=True)
class Lease:
    """Granted at ``since``. ``preempted`` is set when its engines are needed and its time is up: end it now."""

    contenders: dict[str, Contender]
    """By the model id that was asked for."""
    models: frozenset[str]
    """The engines it holds."""
    session: str
    since: float
    preempted: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def engines(self) -> list[Engine]:
        return [c.engine for c in self.contenders.values()]


class Answers:
    """How long battles lately held their leases: what a drain, and a wait, are reckoned by. Seconds."""

    def __init__(self, limit_s: float) -> None:
        self._limit = limit_s
        self._held: deque[float] = deque(maxlen=100)

    def add(self, seconds: float) -> None:
        self._held.append(seconds)

    @property
    def longest_s(self) -> float:
        """With a quarter to spare, never above the drain limit; a quarter of that before the first answer."""
        return min(1.25 * max(self._held), self._limit) if self._held else self._limit / 4

    @property
    def typical_s(self) -> float:
        return sum(self._held) / len(self._held) if self._held else self._limit / 8


@dataclass(slots=True)
class Waiting:
    """A job in line. ``contenders``: the model ids it asked for, each with the engine behind it."""

    waiter: Waiter
    contenders: dict[str, str]
    granted: asyncio.Future[Lease] = field(repr=False)

    @property
    def open(self) -> bool:
        return not self.granted.done()

    def refuse(self, refusal: Refusal) -> None:
        """Ends the wait with the error that says why."""
        error: Refused
        if refusal.kind == "overloaded":
            error = Overloaded(refusal.retry_after_s)
        elif refusal.kind == "apart":
            error = NotTogether(frozenset(self.contenders))
        else:
            error = ModelUnavailable(refusal.model, refusal.why)
        self.granted.set_exception(error)
