"""Who may start, who is refused, and which one engine moves next: a pure decision over facts and a clock.

The decision, in order (the numbers are repeated in the code):

1. A job whose model lately failed, or cannot be brought up at all, is refused now rather than left waiting; so is one
   whose models fit one at a time only (it is to ask for them in turn); so is a newcomer whom the promise on waiting
   (line.py) could not be kept.
2. Which models should memory turn to, and is it time (turn.py)?
3. Once it is, the engines in the way take no new leases: they drain, for the drain limit at most, and less when the
   line has no time left. Where promises depend on the turn, the engines it needs are kept for it too.
4. Every job whose models can answer and have seats starts: sessions in turn, each session's jobs in order of arrival.
   Engines that drain accept only the jobs memory turns to, so a switch is never undone unused. A newcomer whom the line
   has no place for starts too, if it takes nothing from those who wait.
5. One move at a time: what is dead goes first, then what the turn needs (victims away, missing engines up), then, as
   far as the line has time for it, what capacity and memory demand, what the operator asked, what has rested too long.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from worker.memory import NOTHING, Bytes
from worker.pool import line, room
from worker.pool.refusals import refusals
from worker.pool.states import (
    EngineState,
    EngineView,
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
)
from worker.pool.turn import Turn, missing, preempted, whose
from worker.pool.wishes import fulfilled, leaving, wished


def plan(state: PoolState, waiting: Sequence[Waiter], ledgers: Bytes, now: float, rules: Rules) -> Plan:
    """See the module's text. ``waiting`` in order of arrival; ``ledgers`` the bytes all engines together may hold."""
    refuse = refusals(state, waiting, ledgers, now, rules)  # (1)
    refused = {r.job for r in refuse}
    candidates = [w for w in waiting if w.job not in refused]
    over = room.surplus(state, ledgers, {m for w in candidates for m in w.models}, now)
    startable = _seated(state, candidates, _going(state, over, ledgers))

    turn = whose(state, candidates, startable, ledgers, now, rules)  # (2)
    due = turn if turn is not None and turn.due else None
    closed = _closed(state, due, over, ledgers)  # (3)
    exempt = {state.switching, due.models if due is not None else None}
    grant = _seated(state, candidates, closed, exempt)  # (4)
    starting = {w.job for w in grant}
    left = [w for w in candidates if w.job not in starting]
    spared = _spared(state, waiting, refuse, grant, left, closed)
    preempt, ends = preempted(state, due, left, now, rules)
    granted = (*grant, *spared)
    decided = Plan(
        grant=tuple(w.job for w in granted),
        refuse=tuple(r for r in refuse if all(r.job != w.job for w in spared)),
        draining=closed,
        preempt=preempt,
        ends=ends,
        switching=due.models if due is not None else None,
        done=fulfilled(state, ledgers),
    )
    if state.moving is not None:
        return decided
    busy = {m for w in granted for m in w.models}
    if (step := _must(state, due, busy, ledgers, now)) is None:  # (5)
        step = _may(state, due, over, busy, left, ledgers, now, rules)
    return replace(decided, move=step)


# ── (3) draining ─────────────────────────────────────────────────────────────────────────────────────────────────


def _closed(state: PoolState, due: Turn | None, over: EngineView | None, ledgers: Bytes) -> frozenset[str]:
    """Engines that take no new leases but those of the models memory turns to."""
    own: frozenset[str] = due.models if due is not None else frozenset()
    closed = set(_going(state, None if over is not None and over.model in own else over, ledgers))
    if due is not None:
        closed |= {v.model for v in due.victims if v.resident}
        if due.hard:
            closed |= {m for m in own if state.can_answer(m)}
    if state.moving is not None and state.engines[state.moving].usable:
        closed.add(state.moving)
    return frozenset(m for m in closed if not (e := state.engines[m]).pinned or e.retiring or m in own)


def _going(state: PoolState, over: EngineView | None, ledgers: Bytes) -> frozenset[str]:
    """Engines on which nobody new starts whatever the turn: they are to leave memory."""
    return (
        state.retiring | leaving(state, ledgers) | ({over.model} if over is not None and over.resident else frozenset())
    )


# ── (4) seats ────────────────────────────────────────────────────────────────────────────────────────────────────


def _seated(
    state: PoolState,
    candidates: Sequence[Waiter],
    closed: frozenset[str],
    exempt: set[frozenset[str] | None] | None = None,
) -> list[Waiter]:
    """Those who can start now, in the order in which they get their seats."""
    turns: dict[str, int] = dict(state.serving)
    fair: list[tuple[int, float, int, Waiter]] = []
    for place, w in enumerate(candidates):
        mine = turns.get(w.session, 0)
        turns[w.session] = mine + 1
        fair.append((mine, w.since, place, w))
    taken: dict[str, int] = {}
    seated = []
    for *_, w in sorted(fair, key=lambda f: f[:3]):
        if w.models & closed and not (exempt and w.models in exempt and not w.models & state.retiring):
            continue
        engines = [state.engines[m] for m in w.models]
        if all(state.can_answer(e.model) and e.leases + taken.get(e.model, 0) < e.seats for e in engines):
            seated.append(w)
            for e in engines:
                taken[e.model] = taken.get(e.model, 0) + 1
    return seated


def _spared(
    state: PoolState,
    waiting: Sequence[Waiter],
    refuse: Sequence[Refusal],
    grant: Sequence[Waiter],
    left: Sequence[Waiter],
    closed: frozenset[str],
) -> list[Waiter]:
    """Newcomers without a place in the line who need none: they start now, on engines nobody in it waits for."""
    full = {r.job for r in refuse if r.kind == "overloaded"}
    kept = closed | {m for w in left for m in w.models}
    free = [w for w in waiting if w.job in full and not w.models & kept]
    return [w for w in _seated(state, [*grant, *free], kept, {w.models for w in grant}) if w.job in full]


# ── (5) the move ─────────────────────────────────────────────────────────────────────────────────────────────────


def _must(state: PoolState, due: Turn | None, busy: set[str], ledgers: Bytes, now: float) -> Move | None:
    """What nobody is asked about: the dead, the outdated, and the next step of the turn."""
    engines = state.engines.values()
    dead = next((e for e in engines if not e.alive and e.held), None)
    if dead is not None:
        return Unload(dead.model, "died")
    outdated = next((e for e in engines if e.retiring and e.leases == 0 and e.held and e.model not in busy), None)
    if outdated is not None:
        return Unload(outdated.model, "its catalog entry changed")
    return _toward(state, due, busy, ledgers, now) if due is not None else None


def _toward(state: PoolState, turn: Turn, busy: set[str], ledgers: Bytes, now: float) -> Move | None:
    """The next step of a switch: bring up what fits, else put a victim away that serves nobody."""
    absent = [e for e in missing(state, turn.models) if e.failed_until <= now and not e.retiring]
    victims = {v.model for v in turn.victims}
    for engine in sorted(absent, key=lambda e: (e.bring_s, e.model)):
        if engine.model not in victims and not engine.resident and room.room_now(state, ledgers, engine):
            return Wake(engine.model) if engine.state is EngineState.SLEEPING else Load(engine.model)
    free = [v for v in turn.victims if v.leases == 0 and v.model not in busy and v.held]
    if not absent or not free:
        return None
    need = sum((e.reserved.most(e.footprint.resident) - e.reserved for e in absent if e.model not in victims), NOTHING)
    need += sum((e.footprint.resident for e in absent if e.model in victims), NOTHING)
    return room.put_away(state, ledgers, free[0], need, f"room for {absent[0].model}", turn.victims)


def _may(
    state: PoolState,
    due: Turn | None,
    over: EngineView | None,
    busy: set[str],
    left: Sequence[Waiter],
    ledgers: Bytes,
    now: float,
    rules: Rules,
) -> Move | None:
    """What can wait: taken only if nobody in the line is promised the time it takes."""
    own = due.models if due is not None else frozenset()
    wanted = {m for w in left for m in w.models}

    def idle(e: EngineView) -> bool:
        return e.leases == 0 and e.model not in busy and not e.pinned

    def spare(e: EngineView) -> bool:
        return idle(e) and e.model not in wanted

    step: Move | None = None
    if over is not None and over.model not in own and (idle(over) or over.state is EngineState.SLEEPING):
        step = room.put_away(state, ledgers, over, NOTHING, "memory")
    step = step or wished(state, idle, spare, ledgers, now, own)
    if step is None and rules.idle_ttl_s and due is None:
        rested = [e for e in state.engines.values() if e.state is EngineState.READY and spare(e) and not e.elsewhere]
        rested = [e for e in rested if now - e.last_used >= rules.idle_ttl_s]
        if rested:
            step = room.put_away(state, ledgers, min(rested, key=lambda e: e.last_used), NOTHING, "idle")
    if step is None or line.slack_s(state, line.groups(left), now, rules) - _takes_s(state, step) > line.least_s(rules):
        return step
    return None


def _takes_s(state: PoolState, step: Move) -> float:
    """What a step could cost those who wait: its own time, and that of undoing it."""
    costs = state.engines[step.model].costs
    if isinstance(step, (Load, Wake)):
        return max(costs.load_s, costs.wake_s) + max(costs.unload_s, costs.sleep_s)
    return max(costs.unload_s, costs.sleep_s if isinstance(step, Sleep) else 0.0) + costs.load_s + costs.unload_s
