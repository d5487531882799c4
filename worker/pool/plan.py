"""Who may start, who is refused, and which one engine moves next: a pure decision over facts and a clock.

The decision, in order (the numbers are repeated in the code):

1. A job whose model lately failed, or cannot be brought up at all, is refused now rather than left waiting; so is one
   whose models fit one at a time only (it is to ask for them in turn); so is a newcomer whom the promise on waiting
   (line.py) could not be kept.
2. Which models should memory turn to? A switch that has begun is finished first. When the line has no time left, its
   head is served. Else the group that has waited longest together is the candidate, and its turn has come when nothing
   runs, or could start now, on the engines it would displace; or when its jobs' summed waiting has reached the measured
   cost of the switch, drain included: staying and switching have cost the same by then (rent or buy). Where engines in
   memory have more to do than they can seat, they stay for a while at least (``Rules.stay``), so that switching never
   eats the machine.
3. Once that turn has come, the engines in its way take no new leases: they drain, for the drain limit at most, and less
   when the line has no time left.
4. Every job whose models can answer and have seats starts: sessions in turn, each session's jobs in order of arrival.
   Engines that drain accept only the jobs memory turns to, so a switch is never undone unused.
5. One move at a time: what is dead goes first, then what the turn needs (victims away, missing engines up), then what
   the operator asked, then what has rested past its time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from worker.memory import NOTHING, Bytes
from worker.pool import line, room
from worker.pool.line import Group
from worker.pool.refusals import refusals
from worker.pool.states import EngineState, EngineView, Load, Move, Plan, PoolState, Rules, Unload, Waiter, Wake
from worker.pool.wishes import fulfilled, wished


@dataclass(frozen=True, slots=True)
class _Turn:
    """What memory turns to. ``due``: now. ``victims``: who must go for it. ``hard``: a promise depends on it."""

    models: frozenset[str]
    victims: tuple[EngineView, ...]
    due: bool
    hard: bool = False


def plan(state: PoolState, waiting: Sequence[Waiter], ledgers: Bytes, now: float, rules: Rules) -> Plan:
    """See the module's text. ``waiting`` in order of arrival; ``ledgers`` the bytes all engines together may hold."""
    refuse = refusals(state, waiting, ledgers, now, rules)  # (1)
    refused = {r.job for r in refuse}
    candidates = [w for w in waiting if w.job not in refused]
    startable = _seated(state, candidates, state.retiring)

    turn = _turn(state, candidates, startable, ledgers, now, rules)  # (2)
    closed = _closed(state, turn)  # (3)
    exempt = {state.switching, turn.models if turn is not None and turn.due else None}
    grant = _seated(state, candidates, closed, exempt)  # (4)
    decided = Plan(
        grant=tuple(w.job for w in grant),
        refuse=refuse,
        draining=closed,
        preempt=_preempted(state, turn, candidates, now, rules),
        switching=turn.models if turn is not None and turn.due else None,
        done=fulfilled(state),
    )
    if state.moving is not None:
        return decided
    busy = {m for w in grant for m in w.models}
    return replace(decided, move=_move(state, turn, busy, ledgers, now, rules))  # (5)


# ── (2) whose turn ───────────────────────────────────────────────────────────────────────────────────────────────


def _turn(
    state: PoolState,
    candidates: Sequence[Waiter],
    startable: Sequence[Waiter],
    ledgers: Bytes,
    now: float,
    rules: Rules,
) -> _Turn | None:
    starting = {w.job for w in startable}
    waiting = line.groups(candidates)
    blocked = line.groups(w for w in candidates if w.job not in starting)
    begun = next((g for g in blocked if g.models == state.switching), None)
    if begun is not None and _missing(state, begun.models):
        hard = line.slack_s(state, waiting, now, rules) <= 0
        return _take(state, begun, ledgers, now, due=True, hard=hard)
    pinned = _pinned_out(state, now)
    if pinned is not None:
        victims = room.leave_for(state, ledgers, pinned.models, now)
        return None if victims is None else replace(pinned, victims=tuple(victims))
    if not blocked:
        return None
    head = line.in_line(state, blocked)[0]
    if line.slack_s(state, waiting, now, rules) <= 0:
        return _take(state, head, ledgers, now, due=True, hard=True)
    absent = [g for g in blocked if _missing(state, g.models)]
    if not absent:
        return None
    best = max(absent, key=lambda g: g.waited(now))
    if best.models != head.models and line.slack_s(state, waiting, now, rules, first=best) <= 0:
        best = head if head in absent else best
    turn = _take(state, best, ledgers, now, due=False)
    if turn is None:
        return None
    backlog = len(blocked) > len(absent)
    return replace(turn, due=_soft(state, best, turn.victims, startable, backlog, now, rules))


def _take(state: PoolState, group: Group, ledgers: Bytes, now: float, *, due: bool, hard: bool = False) -> _Turn | None:
    victims = room.leave_for(state, ledgers, group.models, now)
    return None if victims is None else _Turn(group.models, tuple(victims), due, hard)


def _pinned_out(state: PoolState, now: float) -> _Turn | None:
    """A pinned engine that is not in memory is owed its place before anybody else's turn."""
    out = [e for e in state.engines.values() if e.pinned and not e.usable and not e.retiring and e.failed_until <= now]
    return _Turn(frozenset((min(out, key=lambda e: e.model).model,)), (), True) if out else None


def _soft(
    state: PoolState,
    group: Group,
    victims: Sequence[EngineView],
    startable: Sequence[Waiter],
    backlog: bool,
    now: float,
    rules: Rules,
) -> bool:
    wanted = {m for w in startable for m in w.models}
    if not any(v.leases or v.model in wanted for v in victims):
        return True
    up = sum(e.bring_s for e in line.local(state, group.models))
    drain = state.typical_s if any(v.leases for v in victims) else 0.0
    cost = drain + up + sum(min(v.costs.unload_s, v.costs.sleep_s) for v in victims)
    stay = cost * (rules.stay if backlog else 1.0)
    return group.waited(now) >= cost and now - state.landed >= stay


# ── (3) draining ─────────────────────────────────────────────────────────────────────────────────────────────────


def _closed(state: PoolState, turn: _Turn | None) -> frozenset[str]:
    """Engines that take no new leases but those of the models memory turns to."""
    closed = set(state.retiring)
    closed |= {w.model for w in state.wishes if w.kind in ("unload", "sleep")}
    if turn is not None and turn.due:
        closed |= {v.model for v in turn.victims if v.resident}
        if turn.hard:
            closed |= {m for m in turn.models if state.engines[m].leases}
    return frozenset(m for m in closed if not state.engines[m].pinned or state.engines[m].retiring or m in _owed(turn))


def _owed(turn: _Turn | None) -> frozenset[str]:
    return turn.models if turn is not None else frozenset()


def _preempted(
    state: PoolState, turn: _Turn | None, candidates: Sequence[Waiter], now: float, rules: Rules
) -> frozenset[str]:
    if turn is None or not turn.due:
        return frozenset()
    begun = replace(state, switching=turn.models, begun=state.begun if state.switching == turn.models else now)
    late = turn.hard and line.slack_s(begun, line.groups(candidates), now, rules, drained=True) <= 0
    in_the_way = {v.model for v in turn.victims}
    if turn.hard:
        in_the_way |= {m for m in turn.models if (e := state.engines[m]).usable and e.leases >= e.seats}
    return frozenset(
        e.model
        for m in in_the_way
        if (e := state.engines[m]).state is EngineState.DRAINING
        and e.leases
        and (late or now - e.since >= rules.drain_limit_s)
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
        if w.models & closed and not (exempt and w.models in exempt):
            continue
        engines = [state.engines[m] for m in w.models]
        if all(e.usable and not e.gone and e.leases + taken.get(e.model, 0) < e.seats for e in engines):
            seated.append(w)
            for e in engines:
                taken[e.model] = taken.get(e.model, 0) + 1
    return seated


def _missing(state: PoolState, models: frozenset[str]) -> list[EngineView]:
    return [e for m in sorted(models) if not (e := state.engines[m]).usable]


# ── (5) the move ─────────────────────────────────────────────────────────────────────────────────────────────────


def _move(
    state: PoolState, turn: _Turn | None, busy: set[str], ledgers: Bytes, now: float, rules: Rules
) -> Move | None:
    engines = state.engines.values()
    dead = next((e for e in engines if not e.alive and e.held), None)
    if dead is not None:
        return Unload(dead.model, "died")

    def idle(e: EngineView) -> bool:
        return e.leases == 0 and e.model not in busy and not e.pinned

    leaving = next((e for e in engines if e.retiring and e.leases == 0 and e.held), None)
    if leaving is not None:
        return Unload(leaving.model, "its catalog entry changed")
    if turn is not None and turn.due:
        if (step := _toward(state, turn, busy, ledgers, now)) is not None:
            return step
    elif (over := room.surplus(state, ledgers, idle, now)) is not None:
        return room.put_away(state, ledgers, over, Bytes(), "memory")
    if (asked := wished(state, idle, ledgers, now, turn is not None and turn.due)) is not None:
        return asked
    if rules.idle_ttl_s and (turn is None or not turn.due):
        rested = [
            e for e in engines if e.state is EngineState.READY and idle(e) and now - e.last_used >= rules.idle_ttl_s
        ]
        if rested:
            return room.put_away(state, ledgers, min(rested, key=lambda e: e.last_used), Bytes(), "idle")
    return None


def _toward(state: PoolState, turn: _Turn, busy: set[str], ledgers: Bytes, now: float) -> Move | None:
    """The next step of a switch: bring up what fits, else put a victim away that serves nobody."""
    absent = [e for e in _missing(state, turn.models) if e.failed_until <= now and not e.retiring]
    for engine in sorted(absent, key=lambda e: (e.bring_s, e.model)):
        if room.room_now(state, ledgers, engine):
            return Wake(engine.model) if engine.state is EngineState.SLEEPING else Load(engine.model)
    free = [v for v in turn.victims if v.leases == 0 and v.model not in busy and v.held]
    if not absent or not free:
        return None
    need = sum((e.reserved.most(e.footprint.resident) - e.reserved for e in absent), NOTHING)
    return room.put_away(state, ledgers, free[0], need, f"room for {absent[0].model}")
