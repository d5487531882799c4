"""The worker process's one asyncio loop: the pool, the battles on it, and what they tell Redis.

Celery's pool threads only wait here; all battles run on this loop, so they share continuous batching. Everything with
an effect outside is started in ``start()`` and ended in ``stop()``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

import redis.asyncio
from kombu.exceptions import OperationalError
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from worker.answering import together
from worker.audit import Audit
from worker.battle import Battle
from worker.chat import Chat
from worker.contract import channel, holding, residency
from worker.contract.catalog import Catalog
from worker.contract.jobs import RECORDS_STARTED, BattleJob, BattleResult, ChatJob, models_of
from worker.contract.placement import job_key
from worker.demand import Demand
from worker.drain import Drain
from worker.elsewhere import Elsewhere
from worker.engines import EngineFactory
from worker.loop import Loop
from worker.models.fitting import Fit
from worker.pool.learnt import LearntSizes
from worker.pool.meter import Meter, NoMeter
from worker.pool.pool import Pool
from worker.pool.states import Rules
from worker.preload import agreed
from worker.report import report_of
from worker.settings import WorkerSettings
from worker.stopping import HandedBack, Stop, StopReason
from worker.together import Together

log = logging.getLogger(__name__)

REPORT_S = 2.0
REPORT_PAUSE_S = 0.1
"""Changes closer together than this share a report: reckoning every pair's outlook takes the streams' time."""
TELL_AFTER_S = 0.5
HAND_BACK_S = 3.0
"""What still runs when the worker stops has this long to find another one."""
CANCEL_AGAIN_S = 0.1
Send = Callable[[str, tuple[Any, ...]], None]
T = TypeVar("T")


@dataclass(slots=True)
class Running:
    """One battle or chat on the loop, as operators see it: no texts. ``done``: a battle's result, None for a chat."""

    job: BattleJob | ChatJob
    stop: Stop
    since: float
    done: Future[Any] = field(default_factory=Future)

    @property
    def subject(self) -> str:
        """What it is cancelled by: the battle's id, or the chat's."""
        return self.job.id if isinstance(self.job, ChatJob) else self.job.battle_id


class Runtime:
    """``start`` once, ``run_battle`` from any thread, ``stop`` once."""

    def __init__(
        self,
        settings: WorkerSettings,
        catalog: Catalog,
        fit: Fit,
        make_engine: EngineFactory,
        send: Send,
        name: str,
        meter: Meter | None = None,
    ) -> None:
        self.settings = settings
        self._catalog = catalog
        self.fit = fit
        self._meter = meter or NoMeter()
        self.name = name
        self._make_engine = make_engine
        self._send = send
        self._loop = Loop("battles")
        self._lock = threading.Lock()
        self.running: dict[str, Running] = {}
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._telling: set[asyncio.Task[None]] = set()
        self._leaving = False
        self._preloaded = False
        self.pool: Pool
        self._demand: Demand
        self._elsewhere: Elsewhere
        self.drain: Drain
        self.audit: Audit
        self._redis: Any
        self._together: Together

    # ── life ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Begin the loop, the pool with its preload, the cancel watcher and the reports."""
        self._loop.start()
        self._loop.wait_for(self._start())

    async def _start(self) -> None:
        s = self.settings
        retry = Retry(ExponentialBackoff(cap=2.0, base=0.05), 20)
        self._redis = redis.asyncio.Redis.from_url(
            s.redis_url, retry=retry, retry_on_error=[RedisConnectionError, RedisTimeoutError]
        )
        self._together = Together(self._redis)
        self.pool = Pool(
            self._catalog,
            self._make_engine,
            capacity=s.max_resident,
            rules=Rules(
                max_wait_s=s.max_wait_s,
                drain_limit_s=s.drain_limit_s,
                idle_ttl_s=s.idle_ttl_s,
                queue_bound=s.queue_bound,
                may_sleep=self.fit.scene.may_sleep,
                patience_s=s.patience_s,
            ),
            ledgers=self.fit.scene.budget,
            sizes=LearntSizes(self.fit, s.models_dir),
            meter=self._meter,
            fail_backoff_s=s.fail_backoff_s,
            load_timeout_s=s.load_timeout_s,
            on_change=self._changed.set,
        )
        self.audit = Audit(self._redis, self._loop.asyncio)
        self._demand = Demand(self.pool.clock)
        self._elsewhere = Elsewhere(self.name, self._redis)
        self.drain = Drain(self.pool.operations, lambda: len(self.running), self._drain_changed)
        self.pool.start(await agreed(self._redis, self.name, self.fit, s.preload))
        work = (self._report_always(), self._watch_cancels(), self.audit.write_always())
        self._tasks = [asyncio.create_task(w) for w in work]

    def also(self, *work: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
        """Have these run on the loop until the end, each given the loop's Redis client. To be called after start()."""

        def begin() -> None:
            self._tasks += [asyncio.create_task(w(self._redis)) for w in work]

        self.on_loop(begin)

    def leave(self) -> None:
        """Warm shutdown has begun: battles have ``drain_s`` to end, then go back to the queue."""
        if not self._leaving:
            self._leaving = True
            loop = self._loop.asyncio
            loop.call_soon_threadsafe(self._changed.set)
            loop.call_soon_threadsafe(loop.call_later, self.settings.drain_s, self._hand_back_all)

    def _hand_back_all(self) -> None:
        for running in list(self.running.values()):
            running.stop.ask("shutdown")

    def stop(self) -> None:
        """Hand back what still runs, unload every engine, end the loop."""
        self._leaving = True
        if self._loop.alive:
            self._loop.wait_for(self._stop())
            self._loop.end()

    async def _stop(self) -> None:
        self._hand_back_all()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HAND_BACK_S):
                while self.running:
                    self._changed.clear()
                    await self._changed.wait()
        await self.audit.written()
        await _end([*self._tasks, *self._telling])
        await self.pool.close()
        with contextlib.suppress(RedisConnectionError, RedisTimeoutError):
            await asyncio.wait_for(residency.withdraw(self._redis, self.name), 2)
            await asyncio.wait_for(holding.withdraw(self._redis, self.name), 2)
        await self._redis.aclose()

    @property
    def up(self) -> bool:
        """Whether commands can be carried out: start() has ended, stop() has not begun to."""
        return hasattr(self, "drain") and self._loop.alive

    def on_loop(self, work: Callable[[], T]) -> T:
        """Run a quick function where the battles are; see :meth:`worker.loop.Loop.do`."""
        return self._loop.do(work)

    # ── battles ──────────────────────────────────────────────────────────────────────────────────────────────────

    def run_battle(self, job: BattleJob) -> BattleResult:
        """Blocks until the turn has ended. A second copy of a job that runs here joins it instead of running twice.

        Raises HandedBack when the worker shuts down, StaleAttempt when another worker has taken over.
        """
        result: BattleResult = self._joined(job)
        return result

    def run_chat(self, job: ChatJob) -> None:
        """Blocks until the answer has ended, or joins a copy of the job that runs here.

        Raises HandedBack when the worker shuts down, ChatOver when nobody waits for this answer here.
        """
        self._joined(job)

    def _joined(self, job: BattleJob | ChatJob) -> Any:
        with self._lock:
            running = self.running.get(job.task)
            if running is None:
                running = self.running[job.task] = Running(job, Stop(), time.time())
                asyncio.run_coroutine_threadsafe(self._run(job.task, running), self._loop.asyncio)
        return running.done.result()

    def _work(self, running: Running) -> Battle | Chat:
        job, stop = running.job, running.stop
        if isinstance(job, ChatJob):
            return Chat(job, pool=self.pool, redis=self._together, settings=self.settings, stop=stop)

        async def started(attempt: int) -> None:
            self._tell_records(RECORDS_STARTED, job.battle_id, job.turn, attempt)

        return Battle(job, pool=self.pool, redis=self._together, settings=self.settings, stop=stop, on_started=started)

    async def _run(self, name: str, running: Running) -> None:
        self._changed.set()  # held here, from now on
        work = self._work(running)
        result: BattleResult | None = None
        error: BaseException | None = None
        try:
            if self._leaving or self.drain.on:
                raise HandedBack(await self._elsewhere.for_job(running.job))
            if not self._knows(running.job) and (to := await self._elsewhere.for_job(running.job)) is not None:
                raise HandedBack(to)
            self._demand.note(job_key(models_of(running.job)))
            result = await self._run_here(work, running.job)
        except BaseException as raised:  # noqa: BLE001 (handed to the thread that waits)
            error = raised
        with self._lock:
            self.running.pop(name, None)
        self.drain.battle_ended()
        self._changed.set()
        if error is not None:
            running.done.set_exception(error)
        else:
            running.done.set_result(result)

    async def _run_here(self, work: Battle | Chat, job: BattleJob | ChatJob) -> BattleResult | None:
        try:
            return await work.run()
        except HandedBack:
            raise HandedBack(await self._elsewhere.for_job(job)) from None

    def _knows(self, job: BattleJob | ChatJob) -> bool:
        return all(self.pool.slots.of(m) is not None for m in models_of(job))

    def _drain_changed(self) -> None:
        self._changed.set()
        if self.drain.on:
            handing = asyncio.ensure_future(self._hand_over())
            self._telling.add(handing)
            handing.add_done_callback(self._telling.discard)

    async def _hand_over(self) -> None:
        """What waits here for engines goes to workers that take it; what nobody else takes is served here."""
        in_line = {together(w.job) for w in self.pool.queue()} - {together(job) for job in self.pool.leased}
        for running in list(self.running.values()):
            if running.job.task in in_line and await self._elsewhere.for_job(running.job, alive=True) is not None:
                running.stop.ask("shutdown")

    def _tell_records(self, task: str, *args: Any) -> None:
        """A little later: a battle's first token is worth more. One that is lost is made up for by the result."""

        async def tell() -> None:
            await asyncio.sleep(TELL_AFTER_S)
            try:
                await asyncio.to_thread(self._send, task, args)
            except (OSError, RedisError, OperationalError) as error:
                log.warning("records will not be told of a start: %s", type(error).__name__)

        telling = asyncio.ensure_future(tell())
        self._telling.add(telling)
        telling.add_done_callback(self._telling.discard)

    def cancel(self, subject: str, by: StopReason, reason: str = "") -> int:
        """Stop what of this battle (or chat) is here, and tell its asker an operator's ``reason``; how many it was."""
        found = self._of(subject)
        for running in found:
            self._loop.asyncio.call_soon_threadsafe(running.stop.ask, by, reason)
        return len(found)

    def _of(self, subject: str) -> list[Running]:
        with self._lock:
            return [r for r in self.running.values() if r.subject == subject]

    async def _watch_cancels(self) -> None:
        while True:
            try:
                async with self._redis.pubsub() as pubsub:
                    await pubsub.subscribe(channel.CANCEL_CHANNEL)
                    for running in list(self.running.values()):  # asked while nobody was listening
                        await self._cancel_if_asked(running.subject)
                    async for message in pubsub.listen():
                        if message["type"] == "message":
                            await self._cancel_if_asked(message["data"].decode())
            except (RedisConnectionError, RedisTimeoutError):
                await asyncio.sleep(0.5)

    async def _cancel_if_asked(self, subject: str) -> None:
        wish = await channel.cancel_requested(self._redis, subject)
        for running in self._of(subject):
            job = running.job
            if wish is not None and (isinstance(job, ChatJob) or wish.means(job.turn, job.retry)):
                running.stop.ask(wish.by, wish.reason)

    # ── reports ──────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def accepting(self) -> bool:
        """Whether this worker takes new battles: preloaded, not draining, not stopping."""
        self._preloaded = self._preloaded or self.pool.settled
        return self._preloaded and not self._leaving and not self.drain.on

    async def _report_always(self) -> None:
        while True:
            self._changed.clear()
            try:
                await holding.report(self._redis, self.name, list(self.running))
                report = report_of(self.pool, self.name, self.accepting, self._demand.rates())
                await residency.report(self._redis, report)
            except (RedisConnectionError, RedisTimeoutError):
                log.warning("cannot report to Redis; trying again")
            await asyncio.sleep(REPORT_PAUSE_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REPORT_S - REPORT_PAUSE_S):
                    await self._changed.wait()


async def _end(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel them until they have ended: ``wait_for``, as redis-py uses it, loses a cancel that meets its result."""
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=CANCEL_AGAIN_S)
