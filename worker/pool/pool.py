"""The one mover: carries out what plan() decides, and hands out leases on pairs.

Everything runs on one asyncio loop; state changes between awaits are atomic. A lease is granted for all of a job's
models at once or not at all, so two battles can never hold half a pair each.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from worker.contract.catalog import Catalog, ModelSpec
from worker.engines import Engine, EngineFactory
from worker.errors import AdminError, LoadError, ModelUnavailable
from worker.pool.plan import plan
from worker.pool.progress import Loading, Queued, progress
from worker.pool.states import EngineState, EngineView, Load, PoolState, Unload, Waiter

log = logging.getLogger(__name__)

TICK_S = 1.0
"""Longest time a decision that depends only on the clock (back-off over, switch due, engine found dead) is late."""


@dataclass(slots=True)
class Slot:
    """What the pool knows of one model, and its engine while it has one."""

    spec: ModelSpec
    view: EngineView
    engine: Engine | None = None
    failures: int = 0
    since: float = 0.0
    loads: int = 0


@dataclass(slots=True)
class _Waiting:
    waiter: Waiter
    granted: asyncio.Future[dict[str, Engine]] = field(repr=False)


class Pool:
    """``lease()`` for battles, ``load()``/``unload()`` for operators, ``slots`` for those who look."""

    def __init__(
        self,
        catalog: Catalog,
        make_engine: EngineFactory,
        *,
        capacity: int = 2,
        max_wait_s: float = 120.0,
        fail_backoff_s: float = 30.0,
        load_timeout_s: float = 900.0,
        clock: Callable[[], float] = time.monotonic,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.capacity = capacity
        self._make = make_engine
        self._max_wait = max_wait_s
        self._backoff = fail_backoff_s
        self._load_timeout = load_timeout_s
        self.clock = clock
        self._on_change = on_change
        self.slots: dict[str, Slot] = {
            spec.id: Slot(spec, EngineView(spec.id, load_s=0.5 if spec.engine == "echo" else 15.0))
            for spec in catalog.models
        }
        self._waiting: dict[str, _Waiting] = {}
        self._wanted: list[str] = []
        self._switching: frozenset[str] | None = None
        self._move: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._closing = False
        self._ticker: asyncio.Task[None] | None = None

    # ── life ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def start(self, preload: Iterable[str] = ()) -> None:
        """Begin ticking on the running loop and load ``preload`` as room allows."""
        self._wanted.extend(m for m in preload if m in self.slots)
        self._ticker = asyncio.create_task(self._run(), name="pool")

    async def close(self) -> None:
        """Stop granting, refuse who waits, unload every engine."""
        self._closing = True
        if self._ticker is not None:
            self._ticker.cancel()
        if self._move is not None:
            self._move.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._move
        for waiting in list(self._waiting.values()):
            if not waiting.granted.done():
                waiting.granted.set_exception(ModelUnavailable("*", "the worker is stopping"))
        await asyncio.gather(*(s.engine.unload() for s in self.slots.values() if s.engine is not None))

    # ── leases ───────────────────────────────────────────────────────────────────────────────────────────────────

    @asynccontextmanager
    async def lease(self, job: str, models: Iterable[str]) -> AsyncIterator[dict[str, Engine]]:
        """Ready engines by model id, held until the block ends. Raises ModelUnavailable; cancel it to stop waiting."""
        wanted = frozenset(models)
        unknown = sorted(m for m in wanted if m not in self.slots)
        if unknown:
            raise ModelUnavailable(unknown[0], "not in this worker's catalog")
        owed = frozenset(m for m in wanted if self.slots[m].view.state is not EngineState.READY)
        waiting = _Waiting(Waiter(job, wanted, self.clock(), owed), asyncio.get_running_loop().create_future())
        self._waiting[job] = waiting
        self._decide()
        try:
            engines = await waiting.granted
        except asyncio.CancelledError:
            if waiting.granted.done() and not waiting.granted.cancelled() and not waiting.granted.exception():
                self._give_back(wanted)  # granted in the same tick as the cancel
            raise
        finally:
            self._waiting.pop(job, None)
            self._decide()
        try:
            yield engines
        finally:
            self._give_back(wanted)

    def _give_back(self, models: Iterable[str]) -> None:
        now = self.clock()
        for model in models:
            view = self.slots[model].view
            self._set(model, leases=view.leases - 1, last_used=now)
        self._decide()

    def progress(self, job: str) -> Queued | Loading | None:
        """What a waiting job's person may be told; None once it is not waiting any more."""
        waiting = self._waiting.get(job)
        if waiting is None:
            return None
        line = [w.waiter for w in self._waiting.values()]
        since = {m: s.since for m, s in self.slots.items()}
        return progress(self.state(), waiting.waiter, line, since, self.clock())

    # ── operators ────────────────────────────────────────────────────────────────────────────────────────────────

    def load(self, model: str) -> str:
        """Schedule a load; returns what will happen. Raises AdminError."""
        view = self._known(model)
        if view.state in (EngineState.READY, EngineState.LOADING):
            return f"{model} is already {view.state}"
        self._set(model, failed_until=0.0)
        if model not in self._wanted:
            self._wanted.append(model)
        self._decide()
        return f"{model} will load" + (f" after {self.waiting} waiting battles" if self.waiting else "")

    def unload(self, model: str) -> str:
        """Schedule an unload of an idle engine; returns what will happen. Raises AdminError."""
        view = self._known(model)
        if model in self._wanted:
            self._wanted.remove(model)
        if not view.resident:
            return f"{model} is not loaded"
        if view.state is not EngineState.READY:
            raise AdminError(f"{model} is {view.state}; try again when it is ready")
        if view.leases:
            raise AdminError(f"{model} serves {view.leases} battles; cancel them or wait until they end")
        if self._move is not None:
            raise AdminError("another engine is being moved; try again in a moment")
        self._start_move(Unload(model, "operator"))
        return f"{model} unloads"

    def _known(self, model: str) -> EngineView:
        if model not in self.slots:
            raise AdminError(f"no model {model!r} in the catalog; there are: {', '.join(sorted(self.slots))}")
        return self.slots[model].view

    @property
    def settled(self) -> bool:
        """Every load asked for at start or by an operator has succeeded or failed."""
        return not self._wanted and self._move is None

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def state(self) -> PoolState:
        """The facts as plan() gets them."""
        engines = {}
        for model, slot in self.slots.items():
            alive = slot.engine is None or slot.view.state is not EngineState.READY or slot.engine.alive
            engines[model] = replace(slot.view, alive=alive)
        return PoolState(engines, self.capacity, self._move is not None, self._switching, tuple(self._wanted))

    # ── the mover ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _run(self) -> None:
        while True:
            self._decide()
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), TICK_S)

    def _decide(self) -> None:
        if self._closing:
            return
        waiting = [w.waiter for w in self._waiting.values() if not w.granted.done()]
        decided = plan(self.state(), waiting, self.clock(), self._max_wait)
        self._switching = decided.switching
        for job, model in decided.refuse:
            why = self.slots[model].view.why if model in self.slots else "not in this worker's catalog"
            self._waiting[job].granted.set_exception(ModelUnavailable(model, why))
        for job in decided.grant:
            self._grant(self._waiting[job])
        if decided.move is not None and self._move is None:
            self._start_move(decided.move)

    def _grant(self, waiting: _Waiting) -> None:
        now = self.clock()
        engines: dict[str, Engine] = {}
        for model in waiting.waiter.models:
            slot = self.slots[model]
            assert slot.engine is not None
            self._set(model, leases=slot.view.leases + 1, last_used=now)
            engines[model] = slot.engine
        waiting.granted.set_result(engines)

    def _start_move(self, move: Load | Unload) -> None:
        carry_out = self._load(move.model) if isinstance(move, Load) else self._unload(move.model, move.why)
        self._move = asyncio.create_task(carry_out, name=f"move {move.model}")
        self._move.add_done_callback(self._moved)

    def _moved(self, task: asyncio.Task[None]) -> None:
        self._move = None
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a move failed: %r", error)
        self._wake.set()
        self._on_change()

    async def _load(self, model: str) -> None:
        slot = self.slots[model]
        slot.engine = self._make(slot.spec)
        slot.since = began = self.clock()
        self._set(model, state=EngineState.LOADING, why="")
        log.info("loading %s", model)
        try:
            async with asyncio.timeout(self._load_timeout):
                await slot.engine.load()
        except (LoadError, TimeoutError) as error:
            why = error.why if isinstance(error, LoadError) else f"not ready after {self._load_timeout:.0f} s"
            await self._fail(slot, model, why)
            return
        finally:
            if model in self._wanted:
                self._wanted.remove(model)
        took = self.clock() - began
        slot.failures = 0
        slot.loads += 1
        learnt = took if slot.loads == 1 else 0.5 * slot.view.load_s + 0.5 * took
        self._set(model, state=EngineState.READY, load_s=learnt, last_used=self.clock())
        log.info("loaded %s in %.1f s", model, took)

    async def _fail(self, slot: Slot, model: str, why: str) -> None:
        assert slot.engine is not None
        await slot.engine.unload()
        slot.engine = None
        slot.failures += 1
        wait = min(self._backoff * 2 ** (slot.failures - 1), 3600.0)
        self._set(model, state=EngineState.FAILED, failed_until=self.clock() + wait, why=why)
        log.error("%s failed to load, next try in %.0f s at the earliest: %s", model, wait, why)

    async def _unload(self, model: str, why: str) -> None:
        slot = self.slots[model]
        engine, slot.engine = slot.engine, None
        self._set(model, state=EngineState.STOPPING)
        log.info("unloading %s: %s", model, why)
        try:
            if engine is not None:
                await engine.unload()
        finally:
            self._set(model, state=EngineState.COLD)

    def _set(self, model: str, **changes: object) -> None:
        slot = self.slots[model]
        slot.view = replace(slot.view, **changes)  # type: ignore[arg-type]
        self._wake.set()
        if "state" in changes:
            self._on_change()
