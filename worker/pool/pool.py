"""The one mover: has plan() decide, hands out leases, and takes one step at a time.

Everything runs on one asyncio loop; state changes between awaits are atomic. A lease is granted for all of a job's
models at once or not at all, so two battles can never hold half a pair each.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace

from worker.contract.catalog import Catalog
from worker.engines import EngineFactory
from worker.errors import ModelUnavailable
from worker.memory import NO_LIMIT, Bytes
from worker.pool.leases import Answers, Contender, Lease, Waiting
from worker.pool.meter import Meter, NoMeter
from worker.pool.mover import Mover
from worker.pool.moves import Hands
from worker.pool.operations import Operations
from worker.pool.plan import plan
from worker.pool.progress import Loading, Queued, progress
from worker.pool.refusals import UNKNOWN
from worker.pool.sizes import Sizes, StatedSizes
from worker.pool.slots import Slot, Slots
from worker.pool.states import EngineState, Held, Load, Move, Plan, PoolState, Rules, Waiter, Wake, Wish

log = logging.getLogger(__name__)


class Pool:
    """``lease()`` for battles; ``slots`` and ``state()`` for those who look; operators go through desk.py."""

    def __init__(
        self,
        catalog: Catalog,
        make_engine: EngineFactory,
        *,
        capacity: int = 2,
        rules: Rules | None = None,
        ledgers: Bytes = NO_LIMIT,
        sizes: Sizes | None = None,
        fail_backoff_s: float = 30.0,
        load_timeout_s: float = 900.0,
        clock: Callable[[], float] = time.monotonic,
        on_change: Callable[[], None] = lambda: None,
        meter: Meter | None = None,
    ) -> None:
        self.capacity = capacity
        self.rules = rules or Rules()
        self.ledgers = ledgers
        self.clock = clock
        self.operations = Operations(time.time)
        self.meter = meter or NoMeter()
        self._on_change = on_change
        self._wake = asyncio.Event()
        sizes = sizes or StatedSizes()
        self.slots = Slots(
            catalog,
            sizes,
            may_sleep=self.rules.may_sleep,
            clock=clock,
            on_state=self._state_changed,
            on_bytes=self.meter.holds,
        )
        self.slots.reckon(capacity)
        self._hands = Hands(
            make_engine,
            sizes,
            clock=clock,
            set_view=self.slots.set,
            meter=self.meter,
            may_sleep=self.rules.may_sleep,
            fail_backoff_s=fail_backoff_s,
            load_timeout_s=load_timeout_s,
        )
        self._waiting: dict[str, Waiting] = {}
        self._leases: dict[str, Lease] = {}
        self._answers = Answers(self.rules.drain_limit_s)
        self._mover = Mover(clock, self._moved)
        self._wishes: list[Wish] = []
        self._switching: frozenset[str] | None = None
        self._begun = self._landed = 0.0
        self._closing = False
        self._ticker: asyncio.Task[None] | None = None

    # ── life ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def start(self, preload: Iterable[str] = ()) -> None:
        """Begin ticking on the running loop and load ``preload`` as room allows."""
        for model in preload:
            if model in self.slots:
                self.wish(Wish(self.operations.begin("load", model, "preload").id, "load", model))
        self._ticker = asyncio.create_task(self._run(), name="pool")

    async def close(self) -> None:
        """Stop granting, refuse who waits, unload every engine."""
        self._closing = True
        if self._ticker is not None:
            self._ticker.cancel()
        await self._mover.stop()
        for waiting in list(self._waiting.values()):
            if waiting.open:
                waiting.granted.set_exception(ModelUnavailable("*", "the worker is stopping"))
        await asyncio.gather(*(s.engine.unload() for s in self.slots.values() if s.engine is not None))

    # ── leases ───────────────────────────────────────────────────────────────────────────────────────────────────

    @asynccontextmanager
    async def lease(
        self, job: str, models: Iterable[str], session: str = "", since: float | None = None
    ) -> AsyncIterator[Lease]:
        """All of ``models`` ready to answer, held until the block ends; cancel it to stop waiting.

        ``since``: when a job that lost its engines had first come; it keeps its place and its promise.
        Raises ModelUnavailable, Overloaded, and NotTogether when they must be leased one after the other.
        """
        contenders = {m: self.slots.catalog.engine_of(m) for m in models}
        engines = frozenset(contenders.values())
        unknown = next((m for m in contenders if self.slots.of(m) is None), None)
        if unknown is not None:
            raise ModelUnavailable(unknown, UNKNOWN)
        owed = frozenset(m for m in engines if not self.slots[m].view.usable)
        come = self.clock() if since is None else since
        waiter = Waiter(job, engines, come, owed, session, admitted=since is not None)
        waiting = Waiting(waiter, contenders, asyncio.get_running_loop().create_future())
        self._waiting[job] = waiting
        self._decide()
        try:
            lease = await waiting.granted
        except asyncio.CancelledError:
            if job in self._leases:
                self._give_back(job)  # granted in the same tick as the cancel
            raise
        finally:
            self._waiting.pop(job, None)
            if job not in self._leases:  # a grant has been decided on already
                self._decide()
        try:
            yield lease
        finally:
            self._give_back(job)

    def _give_back(self, job: str) -> None:
        lease = self._leases.pop(job)
        now = self.clock()
        self._answers.add(now - lease.since)
        for model in lease.models:
            slot = self.slots[model]
            if slot.engine is not None and slot.engine.alive and slot.engine in lease.engines:
                slot.crashes = 0
            self.slots.set(slot, leases=slot.view.leases - 1, last_used=now)
        self._decide()

    def progress(self, job: str) -> Queued | Loading | None:
        """What a waiting job's person may be told; None once it is not waiting any more."""
        waiting = self._waiting.get(job)
        if waiting is None or waiting.granted.done():
            return None
        return progress(self.state(), waiting.waiter, self.queue(), self.clock())

    # ── what is known ────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def settled(self) -> bool:
        """Every load asked for at start or by an operator has succeeded or failed."""
        return self._mover.moving is None and not any(w.kind in ("load", "wake") for w in self._wishes)

    @property
    def waiting(self) -> int:
        return sum(w.open for w in self._waiting.values())

    @property
    def leased(self) -> tuple[str, ...]:
        """Jobs that hold a lease."""
        return tuple(self._leases)

    def queue(self) -> list[Waiter]:
        """Who waits, in order of arrival."""
        return [w.waiter for w in self._waiting.values() if w.open]

    def state(self) -> PoolState:
        """The facts as plan() gets them."""
        engines = {}
        for model, slot in self.slots.items():
            dead = slot.engine is not None and slot.view.held and not slot.engine.alive
            engines[model] = replace(slot.view, alive=not dead)
        return PoolState(
            engines,
            self.capacity,
            moving=self._mover.model,
            switching=self._switching,
            begun=self._begun,
            landed=self._landed,
            move_left_s=self._mover.left_s(lambda model: self.slots[model].view.costs),
            answer_s=self._answers.longest_s,
            typical_s=self._answers.typical_s,
            wishes=tuple(self._wishes),
            serving=Counter(lease.session for lease in self._leases.values()),
            leases=tuple(Held(job, lease.models, lease.since) for job, lease in self._leases.items()),
        )

    def planned(self) -> Plan:
        """What plan() would decide at this moment; nothing is done."""
        return plan(self.state(), self.queue(), self.ledgers, self.clock(), self.rules)

    # ── for desk.py ──────────────────────────────────────────────────────────────────────────────────────────────

    def wish(self, wish: Wish) -> None:
        """One wish per engine: the newest replaces what was asked before."""
        for older in [w for w in self._wishes if w.model == wish.model]:
            self._wishes.remove(older)
            self.operations.end(older.id, "failed", f"replaced by {wish.kind}")
        self._wishes.append(wish)
        if wish.kind in ("load", "wake"):
            self.slots.set(self.slots[wish.model], failed_until=0.0)
        self._decide()

    def change(self, slot: Slot, **view: object) -> None:
        """Set fields of an engine's view and decide anew."""
        self.slots.set(slot, **view)
        self._decide()

    def set_capacity(self, capacity: int) -> None:
        """Engines beyond it are put away as they fall idle; cold ones are reckoned anew."""
        self.capacity = capacity
        self.slots.reckon(capacity)
        self._decide()

    def set_catalog(self, catalog: Catalog) -> None:
        """See :meth:`worker.pool.slots.Slots.take_up`; who waits or wishes for what is gone is told so."""
        self.slots.take_up(catalog)
        self.meter.know(m.id for m in catalog.entries)
        for waiting in self._waiting.values():
            lost = next((m for m, e in waiting.contenders.items() if catalog.engine_of(m) != e), None)
            lost = lost or next((m for m in waiting.contenders if self.slots.of(m) is None), None)
            if lost is not None and waiting.open:
                waiting.granted.set_exception(ModelUnavailable(lost, UNKNOWN))
        for wish in [w for w in self._wishes if self.slots[w.model].view.gone]:
            self._wishes.remove(wish)
            self.operations.end(wish.id, "failed", UNKNOWN)
        self.slots.reckon(self.capacity)
        self._decide()

    # ── the mover ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _run(self) -> None:
        while True:
            self._decide()
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self.rules.tick_s)

    def _decide(self) -> None:
        if self._closing:
            return
        now = self.clock()
        decided = self.planned()
        if decided.switching != self._switching and decided.switching is not None:
            self._begun = now
        self._switching = decided.switching
        for refusal in decided.refuse:
            self.meter.refused(refusal.kind)
            self._waiting[refusal.job].refuse(refusal)
        for job in decided.grant:
            self._grant(job, self._waiting[job])
        for waiting in self._waiting.values():
            if not waiting.waiter.admitted and waiting.open:
                waiting.waiter = replace(waiting.waiter, admitted=True)
        self._drain(decided)
        for done in decided.done:
            self._wishes = [w for w in self._wishes if w.id != done]
            self.operations.end(done, "done", "")
        if (move := decided.move) is not None and self._mover.moving is None:
            self._mover.begin(move, self._hands.do(self.slots[move.model], move))

    def _grant(self, job: str, waiting: Waiting) -> None:
        now = self.clock()
        contenders: dict[str, Contender] = {}
        for model, engine in waiting.contenders.items():
            slot = self.slots[engine]
            spec = slot.contender(model)
            assert slot.engine is not None
            assert spec is not None, "set_catalog() refuses who waits for what it took away"
            contenders[model] = Contender(slot.engine, spec)
        for engine in waiting.waiter.models:
            slot = self.slots[engine]
            self.slots.set(slot, leases=slot.view.leases + 1, last_used=now)
        lease = Lease(contenders, waiting.waiter.models, waiting.waiter.session, now)
        self._leases[job] = lease
        self.meter.waited(now - waiting.waiter.since)
        waiting.granted.set_result(lease)

    def _drain(self, decided: Plan) -> None:
        for model, slot in self.slots.items():
            if model == self._mover.model:
                continue
            if model in decided.draining and slot.view.state is EngineState.READY:
                self.slots.set(slot, state=EngineState.DRAINING)
            elif model not in decided.draining and slot.view.state is EngineState.DRAINING:
                self.slots.set(slot, state=EngineState.READY)
        for job, lease in self._leases.items():
            if lease.models & decided.preempt or job in decided.ends:
                lease.preempted.set()

    def _moved(self, move: Move) -> None:
        self._after(self.slots[move.model], move)
        if self._switching and all(m in self.slots and self.slots[m].view.usable for m in self._switching):
            self._landed = self.clock()
        self.slots.reckon(self.capacity)
        self._wake.set()
        self._on_change()

    def _after(self, slot: Slot, move: Move) -> None:
        """A load or wake that an operator asked for and that failed is not tried again for the asking."""
        if slot.view.state is EngineState.FAILED and isinstance(move, (Load, Wake)):
            for wish in [w for w in self._wishes if w.model == slot.spec.id and w.kind in ("load", "wake")]:
                self._wishes.remove(wish)
                self.operations.end(wish.id, "failed", slot.view.why)

    def _state_changed(self) -> None:
        self._wake.set()
        self._on_change()
