"""A battle on stage: a real pool, a real log, and engines that either echo or say what the test tells them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from typing import Any

import redis
import redis.asyncio

from worker.battle import Battle
from worker.contract import channel
from worker.contract import events as ev
from worker.contract.catalog import Catalog, ModelSpec
from worker.contract.jobs import BattleJob, BattleResult, Message, Sampling, SideJob, SideJobs
from worker.contract.view import fold_all
from worker.engines import EngineFactory, EngineOrder, Piece
from worker.errors import EngineDied
from worker.memory import Bytes, Tier
from worker.pool.pool import Pool
from worker.pool.states import Rules
from worker.settings import WorkerSettings
from worker.stopping import Stop

BATTLE = "battle-00000001"


def job(
    a: str,
    b: str,
    *,
    prompt: str = "why?",
    deadline_s: float = 60.0,
    max_tokens: int | None = None,
    battle: str = BATTLE,
) -> BattleJob:
    def side(model: str) -> SideJob:
        return SideJob(model, (Message("user", prompt),), Sampling(max_tokens=max_tokens))

    return BattleJob(battle, 1, SideJobs(side(a), side(b)), time.time() + deadline_s)


class Stage:
    """A pool and a redis client on one loop."""

    def __init__(self, redis_url: str, pool: Pool, settings: WorkerSettings | None = None) -> None:
        self.redis: Any = redis.asyncio.Redis.from_url(redis_url)
        self.pool = pool
        self.stop = Stop()
        self.started: list[int] = []
        self.settings = settings or WorkerSettings(flush_ms=5, pace_tail_s=0.05)

    async def run(self, battle_job: BattleJob, coin: float = 0.9) -> BattleResult:
        async def started(attempt: int) -> None:
            self.started.append(attempt)

        return await Battle(
            battle_job,
            pool=self.pool,
            redis=self.redis,
            settings=self.settings,
            stop=self.stop,
            on_started=started,
            coin=lambda: coin,
        ).run()

    async def told(self, kind: type, battle: str = BATTLE, count: int = 1) -> None:
        """Until ``count`` events of ``kind`` are in the log."""
        async with self.redis.pubsub() as pubsub:
            await pubsub.subscribe(channel.channel_key(battle))
            while True:
                frames = await self.redis.xrange(channel.log_key(battle))
                if sum(isinstance(ev.decode_event(f[b"f"]), kind) for _, f in frames) >= count:
                    return
                await pubsub.get_message(ignore_subscribe_messages=True, timeout=1.0)

    async def first_text(self) -> None:
        """Until some text of the battle has been shown."""
        await self.told(ev.SideDelta)

    @property
    def leases(self) -> int:
        return sum(s.view.leases for s in self.pool.slots.values())


def on_stage(make: Callable[[], Stage], body: Callable[[Any], Coroutine[Any, Any, Any]], limit_s: float = 20) -> Any:
    """Run ``body(stage)`` on a loop of its own; the pool and the client end with it."""

    async def go() -> Any:
        stage = make()
        stage.pool.start()
        try:
            async with asyncio.timeout(limit_s):
                return await body(stage)
        finally:
            await stage.pool.close()
            await stage.redis.aclose()

    return asyncio.run(go())


def told(client: redis.Redis, battle: str = BATTLE) -> list[ev.StoredEvent]:
    """Everything in a battle's log."""
    return [f.event for f in channel.read_log(client, battle)[1]]


def view(client: redis.Redis, battle: str = BATTLE) -> ev.BattleView:
    return fold_all(told(client, battle))


class Actor:
    """An engine that says what it is told, to one request at a time in order of asking; see :class:`Cast`."""

    def __init__(self, order: EngineOrder, cast: Cast) -> None:
        self.spec = order.spec
        self.alive = False
        self.hangs = False
        self.requests: list[asyncio.Queue[Piece | Exception]] = []
        self._cast = cast
        self._asleep: Tier | None = None

    async def start(self) -> None: ...

    async def load(self) -> None:
        self.alive = True

    async def sleep(self, tier: Tier) -> None: ...

    async def wake(self, tier: Tier) -> None: ...

    async def verify(self) -> None: ...

    def held(self) -> Bytes | None:
        return None

    async def unload(self) -> None:
        self.die()

    def die(self, *, silently: bool = False) -> None:
        """What SIGKILL does to an engine process; ``silently``: its requests are left hanging for ever."""
        self.alive = False
        self.hangs = self.hangs or silently
        if not self.hangs:
            for lines in self.requests:
                lines.put_nowait(EngineDied(self.spec.id, "killed"))

    async def generate(
        self, request_id: str, messages: Sequence[Message], sampling: Sampling, contender: ModelSpec | None = None
    ) -> AsyncGenerator[Piece, None]:
        lines: asyncio.Queue[Piece | Exception] = asyncio.Queue()
        self.requests.append(lines)
        self._cast.asked(self.spec.id)
        if self._cast.fluent:
            lines.put_nowait(Piece("fluent words. ", 2, 3, "stop"))
        try:
            while True:
                line = await lines.get()
                if isinstance(line, Exception):
                    raise line
                yield line
                if line.finish_reason is not None:
                    return
        finally:
            self.requests.remove(lines)


class Cast:
    """Makes actors and lets the test speak through them. Engines ``fluent`` answer by themselves."""

    def __init__(self) -> None:
        self.fluent = False
        self.made: dict[str, list[Actor]] = {}
        self._asked: dict[str, int] = {}
        self._changed = asyncio.Event()

    def __call__(self, order: EngineOrder) -> Actor:
        actor = Actor(order, self)
        self.made.setdefault(order.spec.id, []).append(actor)
        return actor

    def asked(self, model: str) -> None:
        self._asked[model] = self._asked.get(model, 0) + 1
        self._changed.set()

    async def until_asked(self, model: str, times: int = 1) -> Actor:
        """Until ``model`` has been asked for its ``times``-th answer; the actor that gives it."""
        while self._asked.get(model, 0) < times:
            self._changed.clear()
            await self._changed.wait()
        return self.made[model][-1]

    def say(self, model: str, text: str, *, end: bool = False) -> None:
        """To every request its engine has now."""
        for lines in self.made[model][-1].requests:
            lines.put_nowait(Piece(text, 1, 1, "stop" if end else None))

    def speak_up(self) -> None:
        """From here on every answer comes by itself, and those begun end."""
        self.fluent = True
        for actors in self.made.values():
            for lines in actors[-1].requests:
                lines.put_nowait(Piece("the end.", 2, 3, "stop"))


class Theatre(Stage):
    """A stage whose engines are actors."""

    def __init__(self, redis_url: str, catalog: Catalog, capacity: int = 2, **pool: Any) -> None:
        self.cast = Cast()
        make: EngineFactory = self.cast
        pool.setdefault("rules", Rules(tick_s=0.02))  # decisions that only the clock brings come soon
        super().__init__(redis_url, Pool(catalog, make, capacity=capacity, **pool))
