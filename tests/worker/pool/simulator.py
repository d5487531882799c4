"""The real plan() over fake engines on a virtual clock: what the pool does, without asyncio and in no time.

Events happen in order of their time, and plan() is asked after each of them and at every tick, as the pool asks it.
Each step it takes is checked against what memory, seats and leases allow (``BrokenError`` says which invariant did not
hold), and each job's wait is kept beside the bound it was promised.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count

from worker.memory import NO_LIMIT, NOTHING, Bytes
from worker.pool import line, room
from worker.pool.plan import plan
from worker.pool.states import (
    EngineState,
    EngineView,
    Held,
    Load,
    Move,
    Plan,
    PoolState,
    Refusal,
    Rules,
    Sleep,
    Unload,
    Waiter,
    Wake,
    Wish,
)

S = EngineState
TICK_S = 1.0
HELD = 100


class BrokenError(AssertionError):
    """An invariant did not hold; ``number`` is the one of the design."""

    def __init__(self, number: int, what: str) -> None:
        self.number = number
        super().__init__(f"invariant {number}: {what}")


@dataclass(slots=True)
class Job:
    """``answer_s``: how long it would hold its engines. ``disturbed``: by what the promise on waiting excepts."""

    id: str
    models: frozenset[str]
    session: str
    answer_s: float
    since: float = 0.0
    bound_s: float = float("inf")
    disturbed: str = ""
    started: float | None = None
    ended: str = ""
    """finished, preempted, cancelled, crashed, or the kind of its refusal."""


@dataclass
class Simulator:
    """``engines`` as they are at first; times in seconds of ``now``."""

    engines: dict[str, EngineView]
    capacity: int = 2
    rules: Rules = field(default_factory=Rules)
    ledgers: Bytes = NO_LIMIT
    longest_s: float | None = None
    """Known longest answer; learnt from the last ones when None, as the pool does."""
    now: float = 0.0
    jobs: dict[str, Job] = field(default_factory=dict)
    waiting: dict[str, Waiter] = field(default_factory=dict)
    running: dict[str, float] = field(default_factory=dict)
    wishes: list[Wish] = field(default_factory=list)
    failing: dict[str, str] = field(default_factory=dict)
    """Engines whose next step of this kind (``load`` or ``wake``) fails."""
    loads: Counter[str] = field(default_factory=Counter)
    """Good loads by engine."""
    moves: int = 0
    preempted: int = 0
    sound: bool = True
    """No invariant has been found broken."""
    settled: list[str] = field(default_factory=list)
    """Wishes that were fulfilled or given up."""

    def __post_init__(self) -> None:
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._moving: tuple[Move, float] | None = None
        self._switching: frozenset[str] | None = None
        self._begun = self._landed = self.now
        self._held: deque[float] = deque(maxlen=HELD)
        self._failures: Counter[str] = Counter()
        self._ids = count()
        self.decided = Plan()
        self._tick()

    # ── what happens to it ───────────────────────────────────────────────────────────────────────────────────────

    def arrive(self, models: Iterable[str], session: str = "", answer_s: float = 5.0) -> Job:
        """A job comes and is decided on at once."""
        job = Job(f"j{next(self._ids)}", frozenset(models), session, answer_s, self.now)
        self.jobs[job.id] = job
        self.waiting[job.id] = Waiter(job.id, job.models, self.now, session=session, admitted=False)
        self.decide()
        return job

    def cancel(self, job: str) -> None:
        if job in self.waiting:
            del self.waiting[job]
            self.jobs[job].ended = "cancelled"
        elif job in self.running:
            self._end(job, "cancelled")
        self.decide()

    def crash(self, model: str) -> None:
        """An engine in memory dies with its battles."""
        self._disturb("crash")
        self._set(model, alive=False)
        for job in [j for j in self.running if model in self.jobs[j].models]:
            self._end(job, "crashed")
        self.decide()

    def fail_next(self, model: str, step: str) -> None:
        self.failing[model] = step

    def pin(self, model: str) -> bool:
        """Whether it may be pinned: only with all other pins in memory at once."""
        pinned = {**self.engines, model: replace(self.engines[model], pinned=True)}
        if not room.together(replace(self.state(), engines=pinned), self.ledgers, ()):
            return False
        self._disturb("pin")
        self._set(model, pinned=True)
        self.decide()
        return True

    def unpin(self, model: str) -> None:
        self._set(model, pinned=False)
        self.decide()

    def set_capacity(self, capacity: int) -> bool:
        """Whether capacity may be that: never less than the pins need."""
        if not room.together(replace(self.state(), capacity=capacity), self.ledgers, ()):
            return False
        self._disturb("capacity")
        self.capacity = capacity
        self.decide()
        return True

    def wish(self, wish: Wish) -> None:
        """The newest for an engine replaces what was asked before."""
        self.wishes = [w for w in self.wishes if w.model != wish.model] + [wish]
        if wish.kind in ("load", "wake"):
            self._set(wish.model, failed_until=0.0)
        self.decide()

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        until = self.now + seconds
        while self._events and self._events[0][0] <= until:
            self.now, _, happens = heapq.heappop(self._events)
            happens()
            self.decide()
        self.now = until
        self.decide()

    @property
    def moving(self) -> str | None:
        return self._moving[0].model if self._moving is not None else None

    @property
    def answers_s(self) -> tuple[float, float]:
        """The longest with a quarter to spare, and the average, as the pool learns them."""
        limit = self.rules.drain_limit_s
        typical = sum(self._held) / len(self._held) if self._held else limit / 8
        longest = 1.25 * max(self._held) if self._held else limit / 4
        return (min(longest, limit) if self.longest_s is None else self.longest_s), typical

    def state(self) -> PoolState:
        """The facts as the pool gives them to plan()."""
        longest, typical = self.answers_s
        return PoolState(
            dict(self.engines),
            self.capacity,
            moving=self.moving,
            switching=self._switching,
            begun=self._begun,
            landed=self._landed,
            move_left_s=max(self._moving[1] - self.now, 0.0) if self._moving is not None else 0.0,
            answer_s=longest,
            typical_s=typical,
            wishes=tuple(self.wishes),
            serving=Counter(self.jobs[j].session for j in self.running),
            leases=tuple(Held(j, self.jobs[j].models, since) for j, since in self.running.items()),
        )

    # ── deciding, and doing it ───────────────────────────────────────────────────────────────────────────────────

    def decide(self) -> None:
        """Ask plan() until it wants nothing more at this moment."""
        self.sound = False
        for _ in range(1000):
            if not self._decide_once():
                self.sound = True
                return
        raise BrokenError(7, "plan() never comes to rest at one moment")

    def _decide_once(self) -> bool:
        state = self.state()
        asked = list(self.waiting.values())
        decided = self.decided = plan(state, asked, self.ledgers, self.now, self.rules)
        if decided.switching != self._switching and decided.switching is not None:
            self._begun = self.now
        self._switching = decided.switching
        for refusal in decided.refuse:
            self._refuse(refusal)
        for job in decided.grant:
            self._grant(job)
        for waiter in asked:
            if not waiter.admitted and waiter.job in self.waiting:
                self.waiting[waiter.job] = replace(waiter, admitted=True)
                self.jobs[waiter.job].bound_s = line.bound_s(state, waiter.models, self.rules)
        changed = self._drain(decided)
        for done in decided.done:
            self.wishes = [w for w in self.wishes if w.id != done]
            self.settled.append(done)
        if decided.move is not None:
            self._begin(decided.move)
        return bool(changed or decided.refuse or decided.grant or decided.done or decided.move)

    def _refuse(self, refusal: Refusal) -> None:
        waiter = self.waiting.pop(refusal.job)
        job = self.jobs[refusal.job]
        job.ended = refusal.kind
        if refusal.kind == "overloaded" and waiter.admitted:
            raise BrokenError(6, f"{job.id} was admitted, and refused after {self.now - job.since:.1f} s")
        if refusal.kind == "apart":
            for model in sorted(job.models):
                part = Job(f"{job.id}/{model}", frozenset((model,)), job.session, job.answer_s, self.now)
                self.jobs[part.id] = part
                self.waiting[part.id] = Waiter(part.id, part.models, self.now, session=job.session, admitted=False)

    def _grant(self, job_id: str) -> None:
        waiter, job = self.waiting.pop(job_id), self.jobs[job_id]
        for model in waiter.models:
            engine = self.engines[model]
            if not engine.usable or model == self.moving:
                raise BrokenError(7, f"{job_id} starts on {model}, which is {engine.state}")
            if engine.leases >= engine.seats:
                raise BrokenError(7, f"{job_id} starts on {model}, which has no seat left")
            self._set(model, leases=engine.leases + 1, last_used=self.now)
        job.started = self.now
        if not job.disturbed and self.now - job.since > job.bound_s + 1e-6:
            raise BrokenError(6, f"{job_id} waited {self.now - job.since:.2f} s, {job.bound_s:.2f} s were promised")
        self.running[job_id] = self.now
        self._at(self.now + job.answer_s, partial(self._end, job_id, "finished"))

    def _end(self, job_id: str, how: str) -> None:
        if job_id not in self.running:
            return
        self._held.append(self.now - self.running.pop(job_id))
        self.jobs[job_id].ended = how
        for model in self.jobs[job_id].models:
            self._set(model, leases=self.engines[model].leases - 1, last_used=self.now)

    def _drain(self, decided: Plan) -> bool:
        changed = False
        for model, engine in self.engines.items():
            if model != self.moving and engine.state in (S.READY, S.DRAINING):
                to = S.DRAINING if model in decided.draining else S.READY
                if to is not engine.state:
                    self._set(model, state=to)
                    changed = True
        cut = [j for j in self.running if self.jobs[j].models & decided.preempt or j in decided.ends]
        for job in cut:
            self.preempted += 1
            self._end(job, "preempted")
        return changed or bool(cut)

    def _begin(self, move: Move) -> None:
        if self._moving is not None:
            raise BrokenError(2, f"{move} while {self._moving[0]} is under way")
        engine = self.engines[move.model]
        self.moves += 1
        if isinstance(move, (Sleep, Unload)):
            if engine.alive and (engine.leases or (engine.resident and not engine.usable)):
                raise BrokenError(3, f"{move} while it is {engine.state} and serves {engine.leases}")
            if engine.pinned and engine.alive and engine.state is not S.SLEEPING:
                raise BrokenError(5, f"{move} although it is pinned")
        elif engine.resident or (not engine.elsewhere and self._residents() >= self.capacity):
            raise BrokenError(4, f"{move} with {self._residents()} of {self.capacity} places taken")
        target, during, takes = self._step(move, engine)
        self._set(move.model, state=during, reserved=engine.reserved.most(target))
        if isinstance(move, (Load, Wake, Sleep)) and not self.state().reserved.fits(self.ledgers):
            raise BrokenError(1, f"{move} takes {self.state().reserved} of {self.ledgers}")
        self._moving = (move, self.now + takes)
        if isinstance(move, (Load, Wake)):
            self._at(self.now + takes / 2, partial(self._halfway, move))
        self._at(self.now + takes, partial(self._moved, move, target))

    def _step(self, move: Move, engine: EngineView) -> tuple[Bytes, EngineState, float]:
        if isinstance(move, Load):
            return engine.footprint.resident, S.STARTING, engine.costs.load_s
        if isinstance(move, Wake):
            if engine.state is not S.SLEEPING:
                raise BrokenError(8, f"{move} while it is {engine.state}")
            return engine.footprint.resident, S.WAKING, engine.costs.wake_s
        if isinstance(move, Sleep):
            asleep = engine.footprint.asleep(move.tier)
            if asleep is None or not engine.usable:
                raise BrokenError(1, f"{move}: not to sleep that deep, or not in memory")
            return asleep, S.DRAINING, engine.costs.sleep_s
        return NOTHING, S.STOPPING, engine.costs.unload_s

    def _halfway(self, move: Move) -> None:
        if self._moving is not None and self._moving[0] is move:
            self._set(move.model, state=S.LOADING if isinstance(move, Load) else S.VERIFYING)

    def _moved(self, move: Move, target: Bytes) -> None:
        self._moving = None
        model = move.model
        kind = "load" if isinstance(move, Load) else "wake" if isinstance(move, Wake) else ""
        if kind and self.failing.get(model) == kind:
            self._fail(model, kind)
        elif isinstance(move, Unload):
            self._set(model, state=S.COLD, tier=None, reserved=NOTHING, alive=True)
            if move.why == "died":
                self._back_off(model, "died")
        elif isinstance(move, Sleep):
            self._set(model, state=S.SLEEPING, tier=move.tier, reserved=target)
        else:
            self._set(model, state=S.READY, tier=None, reserved=target, last_used=self.now)
            self._failures[model] = 0
            self.loads[model] += kind == "load"
            if self._switching and all(self.engines[m].usable for m in self._switching):
                self._landed = self.now

    def _fail(self, model: str, kind: str) -> None:
        del self.failing[model]
        self._disturb(f"failed {kind}")
        self._back_off(model, kind)
        self.wishes = [w for w in self.wishes if w.model != model or w.kind not in ("load", "wake")]

    def _back_off(self, model: str, why: str) -> None:
        self._failures[model] += 1
        until = self.now + min(2.0 * 2 ** (self._failures[model] - 1), 60.0)
        self._set(model, state=S.FAILED, tier=None, failed_until=until, why=why, reserved=NOTHING)

    # ── small things ─────────────────────────────────────────────────────────────────────────────────────────────

    def _residents(self) -> int:
        return sum(e.resident for e in self.engines.values())

    def _disturb(self, what: str) -> None:
        """Whoever waits now is excepted from the promise: it is made for a pool that nothing happens to."""
        for job in self.waiting:
            self.jobs[job].disturbed = what

    def _set(self, model: str, **changes: object) -> None:
        before = self.engines[model]
        if "state" in changes and changes["state"] is not before.state:
            changes["since"] = self.now
        self.engines[model] = replace(before, **changes)  # type: ignore[arg-type]

    def _at(self, when: float, happens: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._order), happens))

    def _tick(self) -> None:
        self._at(self.now + TICK_S, self._tick)
