"""The ten invariants of the engine pool, by number: whatever comes, in whatever order, on the real plan().

1. Reservations fit both ledgers before anything moves. 2. One move at a time. 3. An engine with running requests is
never evicted or slept. 4. Resident ≤ capacity. 5. Pins must fit together. 6. Every admitted job starts within its
bound, or is refused at once. 7. A pair is leased all or nothing: no deadlock, no livelock, nobody starves. 8. A failed
wake or canary ends the engine. 9. No engine process outlives its worker: that is about processes and not tested here,
but with real ones in tests/worker/engines/. 10. A cancel frees its lease within one tick, and so does a crash.

Steps that break 1 to 5 or 7 are stopped by the simulator as they are taken, waits beyond the promise (6) as they end;
the error says which. The state machine tries everything at once; excepted from the promise are only the jobs that
waited through a crash, a failed load or wake, a pin or a new capacity. ``test_invariant_6...`` proves it where nothing
happens but far too much work. Rare orders of events are looked for by ``./ops/test long``.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.worker.pool.simulator import BrokenError, Simulator
from worker.memory import NO_FOOTPRINT, NO_LIMIT, NOTHING, Bytes, Footprint
from worker.pool import room
from worker.pool.states import Costs, EngineState, EngineView, Rules, Wish

NAMES = "abcdef"
MIDDLE = (EngineState.STARTING, EngineState.LOADING, EngineState.WAKING, EngineState.VERIFYING, EngineState.STOPPING)
AWAY = (EngineState.COLD, EngineState.FAILED)

seconds = st.sampled_from((0.1, 0.5, 1.0, 2.0, 5.0, 12.0, 25.0))
costs = st.builds(Costs, load_s=seconds, unload_s=seconds, sleep_s=seconds, wake_s=seconds)
sizes = st.builds(Bytes, st.integers(0, 6), st.integers(0, 6))
footprints = st.just(NO_FOOTPRINT) | st.builds(Footprint, sizes, st.none() | sizes, st.none() | sizes)
here = st.builds(EngineView, st.just(""), seats=st.integers(1, 8), costs=costs, footprint=footprints)
remote = st.builds(EngineView, st.just(""), seats=st.integers(1, 8), costs=costs, elsewhere=st.just(True))
worlds = st.builds(
    Simulator,
    engines=st.lists(st.one_of(here, here, here, remote), min_size=2, max_size=6).map(
        lambda found: {m: replace(e, model=m) for m, e in zip(NAMES, found, strict=False)}
    ),
    capacity=st.integers(1, 4),
    rules=st.builds(
        Rules,
        max_wait_s=st.sampled_from((5.0, 30.0, 120.0)),
        drain_limit_s=st.sampled_from((5.0, 20.0, 60.0)),
        idle_ttl_s=st.sampled_from((0.0, 0.0, 10.0)),
        queue_bound=st.sampled_from((3, 100)),
    ),
    ledgers=st.just(NO_LIMIT) | st.builds(Bytes, st.integers(4, 20), st.integers(4, 20)),
)
models = st.integers(0, 5)
"""Which of the engines there are, by place."""


class Pool(RuleBasedStateMachine):
    """Everything that can happen to a pool, in any order."""

    @initialize(world=worlds)
    def begin(self, world: Simulator) -> None:
        self.pool = world
        self.wished = 0

    def model(self, place: int) -> str:
        return sorted(self.pool.engines)[place % len(self.pool.engines)]

    # ── what happens ─────────────────────────────────────────────────────────────────────────────────────────────

    @rule(a=models, b=models, session=st.sampled_from("xyz"), answer=st.floats(0.1, 90.0), n=st.integers(1, 4))
    def battles_come(self, a: int, b: int, session: str, answer: float, n: int) -> None:
        for _ in range(n):
            self.pool.arrive({self.model(a), self.model(b)}, session, answer)

    @rule(s=st.sampled_from((0.3, 1.0, 4.0, 15.0, 60.0)))
    def time_passes(self, s: float) -> None:
        self.pool.advance(s)

    @rule(data=st.data())
    @precondition(lambda self: self.pool.waiting or self.pool.running)
    def invariant_10_a_cancel_frees_its_lease_at_once(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from([*self.pool.waiting, *self.pool.running]))
        before = {m: e.leases for m, e in self.pool.engines.items()}
        held = self.pool.jobs[job].models if job in self.pool.running else frozenset()
        others = [j for j in self.pool.running if j != job]
        self.pool.cancel(job)
        assert job not in self.pool.waiting
        assert job not in self.pool.running
        came = Counter(m for j in self.pool.running if j not in others for m in self.pool.jobs[j].models)
        gone = Counter(m for j in others if j not in self.pool.running for m in self.pool.jobs[j].models)
        for m, e in self.pool.engines.items():
            assert e.leases == before[m] - (m in held) + came[m] - gone[m]

    @rule(place=models)
    def invariant_10_a_crash_frees_the_leases_of_its_battles(self, place: int) -> None:
        model = self.model(place)
        assume(self.pool.engines[model].usable and self.pool.moving != model)
        self.pool.crash(model)
        assert self.pool.engines[model].leases == 0

    @rule(place=models, step=st.sampled_from(("load", "wake")))
    def a_step_will_fail(self, place: int, step: str) -> None:
        self.pool.fail_next(self.model(place), step)

    @rule(place=models)
    def invariant_5_a_pin_that_does_not_fit_is_refused(self, place: int) -> None:
        model = self.model(place)
        assume(not self.pool.engines[model].elsewhere)
        others = [e for e in self.pool.engines.values() if e.pinned and e.model != model]
        alone = [*others, self.pool.engines[model]]
        fits = len(alone) <= self.pool.capacity
        fits = fits and sum((e.footprint.resident for e in alone), NOTHING).fits(self.pool.ledgers)
        assert self.pool.pin(model) == fits

    @rule(place=models)
    def a_pin_is_lifted(self, place: int) -> None:
        self.pool.unpin(self.model(place))

    @rule(capacity=st.integers(1, 4))
    def capacity_changes(self, capacity: int) -> None:
        pins = sum(e.pinned for e in self.pool.engines.values())
        assert self.pool.set_capacity(capacity) == (pins <= capacity)

    @rule(place=models, kind=st.sampled_from(("load", "unload", "sleep", "wake")), tier=st.sampled_from(("l1", "l2")))
    def an_operator_wishes(self, place: int, kind: str, tier: str) -> None:
        self.wished += 1
        self.pool.wish(Wish(f"w{self.wished}", kind, self.model(place), tier))  # type: ignore[arg-type]

    # ── what must hold ───────────────────────────────────────────────────────────────────────────────────────────

    @invariant()
    def invariant_1_reservations_fit_both_ledgers(self) -> None:
        state = self.pool.state()
        assert state.reserved.fits(self.pool.ledgers)
        for e in state.engines.values():
            if e.usable and self.pool.moving != e.model:
                assert e.reserved == e.footprint.resident
            elif e.state in AWAY:
                assert e.reserved == NOTHING

    @invariant()
    def invariant_2_one_move_at_a_time(self) -> None:
        moving = [e.model for e in self.pool.engines.values() if e.state in MIDDLE]
        assert set(moving) <= {self.pool.moving}

    @invariant()
    def invariant_3_whatever_serves_is_in_memory(self) -> None:
        for e in self.pool.engines.values():
            assert e.leases == sum(e.model in self.pool.jobs[j].models for j in self.pool.running) <= e.seats
            if e.leases:
                assert e.state in (EngineState.READY, EngineState.DRAINING)
                assert self.pool.moving != e.model

    @invariant()
    def invariant_5_pins_fit_together(self) -> None:
        assert room.together(self.pool.state(), self.pool.ledgers, ())

    @invariant()
    def invariant_8_after_a_failed_wake_only_a_load_makes_an_engine_ready(self) -> None:
        for e in self.pool.engines.values():
            if e.state in AWAY:
                assert (e.leases, e.tier, e.reserved) == (0, None, NOTHING)

    def teardown(self) -> None:
        """Invariants 4 and 7, to the end: once nothing more comes, everybody is served and every wish comes true."""
        if not hasattr(self, "pool") or not self.pool.sound:
            return
        pool = self.pool
        pool.failing.clear()
        _until(pool, lambda: not (pool.waiting or pool.running), "7: somebody is never served")
        _until(pool, lambda: not _possible(pool) and pool.moving is None, "7: a wish is never fulfilled")
        pinned = [m for m, e in pool.engines.items() if e.pinned]
        _until(pool, lambda: all(pool.engines[m].usable for m in pinned), "5: a pinned engine stays out of memory")
        assert sum(e.resident for e in pool.engines.values()) <= pool.capacity, "invariant 4"


def _possible(pool: Simulator) -> list[Wish]:
    """Wishes still to be fulfilled; one to sleep may wait for others to leave it the room."""
    state = pool.state()
    blocked = {w.model for w in pool.wishes if w.kind == "sleep" and pool.engines[w.model].usable}
    blocked -= {w.model for w in pool.wishes if room.sleeps(state, pool.ledgers, pool.engines[w.model], w.tier)}
    return [w for w in pool.wishes if w.model not in blocked]


def _until(pool: Simulator, done: Callable[[], bool], otherwise: str) -> None:
    for _ in range(400):
        if done():
            return
        pool.advance(10.0)
    raise AssertionError(f"invariant {otherwise}: {pool.waiting} {pool.wishes} {pool.engines}")


def _holds(examples: int, steps: int, *, derandomize: bool) -> None:
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        derandomize=derandomize,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )
    run_state_machine_as_test(Pool, settings=chosen)


def test_every_invariant_holds_whatever_happens() -> None:
    _holds(60, 30, derandomize=True)


@pytest.mark.long
def test_every_invariant_holds_whatever_happens_thousands_of_times() -> None:
    _holds(3000, 50, derandomize=False)


# ── 6: the promise, under far too much work ──────────────────────────────────────────────────────────────────────


def _overload(seed: int, capacity: int, n: int, arrivals: int) -> Simulator:
    """Jobs for random pairs at many times the rate they can be served at, until the last of them has ended."""
    dice = random.Random(seed)
    sleeping, bytes_decide = dice.random() < 0.5, dice.random() < 0.5
    engines = {}
    for model in NAMES[:n]:
        taken = Bytes(dice.randint(3, 8), 1)
        asleep = Footprint(taken, Bytes(1, taken.device + 1), Bytes(1, 1)) if sleeping else Footprint(taken)
        engines[model] = EngineView(
            model,
            seats=dice.randint(1, 8),
            costs=Costs(dice.uniform(1, 25), dice.uniform(0.1, 3), dice.uniform(0.1, 3), dice.uniform(0.1, 4)),
            footprint=asleep if bytes_decide else NO_FOOTPRINT,
        )
    rules = Rules(
        max_wait_s=dice.choice((20.0, 60.0, 120.0)),
        drain_limit_s=dice.choice((10.0, 30.0, 60.0)),
        idle_ttl_s=dice.choice((0.0, 15.0)),
    )
    ledgers = Bytes(dice.randint(8, 24), dice.randint(6, 30)) if bytes_decide else NO_LIMIT
    pool = Simulator(engines, capacity, rules, ledgers)
    shortest = dice.uniform(0.5, 5.0)
    longest = shortest + dice.choice((5.0, 20.0, 80.0))
    rate = dice.uniform(0.3, 4.0)
    for _ in range(arrivals):
        pool.advance(dice.expovariate(rate))
        pair = dice.choice(list(combinations(engines, 2)))
        pool.arrive(pair, str(dice.randint(0, 5)), dice.uniform(shortest, longest))
    _until(pool, lambda: not (pool.waiting or pool.running), "7: somebody is never served")
    return pool


def _kept(pool: Simulator) -> None:
    """The simulator has compared each wait with its bound; here only that there was something to compare."""
    ends = Counter(job.ended for job in pool.jobs.values())
    assert set(ends) <= {"finished", "preempted", "overloaded", "apart", "unavailable"}, ends
    assert all(job.started is not None for job in pool.jobs.values() if job.ended in ("finished", "preempted"))


@pytest.mark.parametrize("capacity", [1, 2, 3, 4])
def test_invariant_6_nobody_admitted_waits_longer_than_promised_when_far_too_many_come(capacity: int) -> None:
    refused = started = 0
    for n in range(2, 7):
        pool = _overload(100 * capacity + n, capacity, n, arrivals=60)
        _kept(pool)
        refused += sum(job.ended == "overloaded" for job in pool.jobs.values())
        started += sum(job.started is not None for job in pool.jobs.values())
    assert refused > 0, "this was no overload"
    assert started > 0


@pytest.mark.long
@pytest.mark.parametrize("capacity", [1, 2, 3, 4])
def test_invariant_6_holds_in_hundreds_of_such_days(capacity: int) -> None:
    for seed in range(60):
        _kept(_overload(seed, capacity, 2 + seed % 5, arrivals=400))


# ── what the state machine has found ─────────────────────────────────────────────────────────────────────────────

QUICK = Costs(0.1, 0.1, 0.1, 0.1)


def test_a_pin_that_still_loads_delays_nobody_who_was_promised_less() -> None:
    engines = {m: EngineView(m, seats=1, costs=QUICK, elsewhere=True) for m in "ab"}
    engines["c"] = EngineView("c", seats=1, costs=replace(QUICK, load_s=12.0))
    pool = Simulator(engines, 1, Rules(max_wait_s=5.0, drain_limit_s=5.0))
    pool.arrive("a", "", 5.0)
    pool.arrive("a", "", 5.0)
    assert pool.pin("c")
    late = pool.arrive("a", "", 1.0)
    pool.advance(60.0)
    assert pool.engines["c"].usable
    assert late.ended in ("finished", "overloaded")


def test_what_a_turn_keeps_is_not_kept_and_opened_by_turns() -> None:
    engines = {m: EngineView(m, seats=1, costs=QUICK, elsewhere=m in "acd") for m in "abcde"}
    engines["a"] = replace(engines["a"], seats=2)
    engines["b"] = replace(engines["b"], costs=replace(QUICK, wake_s=1.0), footprint=Footprint(l2=NOTHING))
    pool = Simulator(engines, 1, Rules(max_wait_s=5.0, drain_limit_s=5.0, queue_bound=3))
    for models, after in (("a", 0.0), ("a", 0.6), ("ab", 0.0), ("ac", 4.0), ("cd", 10.0)):
        pool.arrive(models, "", 5.0 if models == "a" else 1.0)
        pool.advance(after)
    assert not pool.waiting


# ── each invariant can be seen to be broken ──────────────────────────────────────────────────────────────────────


def test_the_simulator_notices_a_promise_that_is_broken() -> None:
    pool = Simulator({m: EngineView(m) for m in "ab"})
    job = pool.arrive("ab")
    job.bound_s = 3.0
    with pytest.raises(BrokenError, match="invariant 6"):
        pool.advance(60.0)


def test_invariant_8_a_failed_wake_ends_the_engine() -> None:
    sleepy = Footprint(Bytes(4, 0), l1=Bytes(0, 4))
    pool = Simulator({m: EngineView(m, footprint=sleepy) for m in "ab"})
    pool.arrive("ab")
    pool.advance(40.0)
    pool.wish(Wish("1", "sleep", "a", "l1"))
    pool.advance(5.0)
    assert pool.engines["a"].state is EngineState.SLEEPING
    pool.fail_next("a", "wake")
    pool.wish(Wish("2", "wake", "a"))
    pool.advance(5.0)
    assert pool.engines["a"].state is EngineState.FAILED
    assert pool.engines["a"].reserved == NOTHING
    loads = pool.loads["a"]
    pool.arrive("ab")
    pool.advance(60.0)
    assert pool.engines["a"].usable
    assert pool.loads["a"] == loads + 1


def test_a_load_that_fails_again_and_again_backs_off_longer_each_time() -> None:
    pool = Simulator({m: EngineView(m, costs=replace(Costs(), load_s=1.0)) for m in "ab"})
    waits = []
    for n in range(4):
        pool.fail_next("a", "load")
        pool.wish(Wish(str(n), "load", "a"))
        pool.advance(1.5)
        assert pool.engines["a"].state is EngineState.FAILED
        waits.append(pool.engines["a"].failed_until - pool.now)
    assert waits == sorted(waits)
    assert waits[-1] > 2 * waits[0]
