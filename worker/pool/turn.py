"""Which models memory turns to next, who must make way for them, and whose time there is up.

A switch that has begun is finished first. When the line has no time left (line.py) its head is served, whatever else is
going on. Else the group that has waited longest together is the candidate: its turn has come when nothing runs, or
could start now, on the engines it would displace; or when its jobs' summed waiting has reached the measured cost of the
switch, drain included: staying and switching have cost the same by then (rent or buy). Where engines in memory have
more to do than they can seat, they stay a while at least (``Rules.stay``), so that switching never eats the machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from worker.memory import Bytes
from worker.pool import line, room, steps
from worker.pool.states import EngineState, EngineView, Held, PoolState, Rules, Waiter
from worker.pool.steps import Group


@dataclass(frozen=True, slots=True)
class Turn:
    """What memory turns to. ``due``: now. ``victims``: who must go for it. ``hard``: a promise depends on it."""

    models: frozenset[str]
    victims: tuple[EngineView, ...]
    due: bool
    hard: bool = False


def whose(
    state: PoolState,
    candidates: Sequence[Waiter],
    startable: Sequence[Waiter],
    ledgers: Bytes,
    now: float,
    rules: Rules,
) -> Turn | None:
    """``candidates`` are all who wait, ``startable`` those of them who could start now if nothing stopped them."""
    starting = {w.job for w in startable}
    blocked = line.groups(w for w in candidates if w.job not in starting)
    stopped = {g.models for g in blocked}
    line_up = [g for g in line.groups(candidates) if g.models in stopped]
    pressed = line.slack_s(state, line_up, now, rules) <= line.least_s(rules)
    begun = next((g for g in blocked if g.models == state.switching), None)
    if begun is not None:
        hard = pressed or _still_pressed(state, line_up, begun, now, rules)
        if hard or missing(state, begun.models):
            found = _take(state, begun, ledgers, now, due=True, hard=hard)
            if found is not None:
                return found
    if (pinned := _pinned_out(state, ledgers, now, hard=pressed)) is not None:
        return pinned
    if pressed:
        takes = (_take(state, g, ledgers, now, due=True, hard=True) for g in line.in_line(state, blocked))
        return next((t for t in takes if t is not None), None)
    return _worth_it(state, candidates, startable, blocked, ledgers, now, rules)


def missing(state: PoolState, models: frozenset[str]) -> list[EngineView]:
    """Those of ``models`` that cannot answer, or are to be replaced by what their new catalog entry says."""
    return [e for m in sorted(models) if (e := state.engines[m]).retiring or not state.can_answer(m)]


def _take(state: PoolState, group: Group, ledgers: Bytes, now: float, *, due: bool, hard: bool = False) -> Turn | None:
    victims = room.leave_for(state, ledgers, group.models, now)
    return None if victims is None else Turn(group.models, tuple(victims), due, hard)


def _still_pressed(state: PoolState, waiting: Sequence[Group], begun: Group, now: float, rules: Rules) -> bool:
    """Progress on a turn is no reason to drop it: what it keeps stays kept until the line could do without."""
    dropped = replace(state, switching=None)
    if missing(state, begun.models):
        kept = {m: e for m in begun.models if (e := state.engines[m]).state is EngineState.DRAINING}
        opened = {m: replace(e, state=EngineState.READY) for m, e in kept.items()}
        dropped = replace(state, engines={**state.engines, **opened})
    return line.slack_s(dropped, waiting, now, rules) <= line.least_s(rules)


def _pinned_out(state: PoolState, ledgers: Bytes, now: float, *, hard: bool) -> Turn | None:
    """A pinned engine that is not in memory is owed its place before anybody else's turn."""
    for engine in line.pinned_out(state):
        victims = room.leave_for(state, ledgers, {engine.model}, now)
        if engine.failed_until <= now and victims is not None:
            return Turn(frozenset((engine.model,)), tuple(victims), True, hard)
    return None


def _worth_it(
    state: PoolState,
    candidates: Sequence[Waiter],
    startable: Sequence[Waiter],
    blocked: Sequence[Group],
    ledgers: Bytes,
    now: float,
    rules: Rules,
) -> Turn | None:
    """The group longest waiting together, if serving it first leaves the others time; else the head of the line."""
    absent = [g for g in blocked if missing(state, g.models)]
    if not absent:
        return None
    waiting = line.groups(candidates)
    longest = max(absent, key=lambda g: g.waited(now))
    head = line.in_line(state, absent)[0]
    for group in (longest, head) if head is not longest else (head,):
        if line.slack_s(state, waiting, now, rules, first=group) > line.least_s(rules):
            found = _take(state, group, ledgers, now, due=False)
            backlog = len(blocked) > len(absent)
            if found is not None:
                return replace(found, due=_pays(state, group, found.victims, startable, backlog, now, rules))
    return None


def _pays(
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
    up = sum(e.bring_s for e in steps.local(state, group.models))
    drain = state.typical_s if any(v.leases for v in victims) else 0.0
    cost = drain + up + sum(min(v.costs.unload_s, v.costs.sleep_s) for v in victims)
    stay = cost * (rules.stay if backlog else 1.0)
    return group.waited(now) >= cost and now - state.landed >= stay


# ── whose time is up ─────────────────────────────────────────────────────────────────────────────────────────────


def preempted(
    state: PoolState, turn: Turn | None, blocked: Sequence[Waiter], now: float, rules: Rules
) -> tuple[frozenset[str], tuple[str, ...]]:
    """Draining engines whose battles must end now, and single battles whose seats the turn was promised."""
    if turn is None or not turn.due:
        return frozenset(), ()
    pace = _pace(state, turn, blocked, now, rules)
    way = {v.model for v in turn.victims} | {m for m in turn.models if state.engines[m].retiring}
    limit = rules.drain_limit_s if pace is None else min(pace * steps.drain_s(state, rules), rules.drain_limit_s)
    over = frozenset(
        m for m in way if (e := state.engines[m]).state is EngineState.DRAINING and e.leases and now - e.since >= limit
    )
    return over, () if pace is None else _seats_taken(state, turn, blocked, pace * steps.round_s(state, rules), now)


def _pace(state: PoolState, turn: Turn, blocked: Sequence[Waiter], now: float, rules: Rules) -> float | None:
    """The part of the reckoned drains and rounds that promises leave time for; None while there is time to spare."""
    if not turn.hard:
        return None
    begun = replace(state, switching=turn.models)
    waiting = line.groups(blocked)
    if line.slack_s(begun, waiting, now, rules) > rules.tick_s:
        return None
    return line.haste(begun, waiting, now, rules)


def _seats_taken(state: PoolState, turn: Turn, blocked: Sequence[Waiter], limit: float, now: float) -> tuple[str, ...]:
    """The battles longest on engines that have too few seats for those whose turn it is."""
    due = sum(w.models == turn.models for w in blocked)
    ends: list[str] = []
    for engine in (state.engines[m] for m in sorted(turn.models)):
        if engine.state is not EngineState.DRAINING or missing(state, turn.models):
            continue
        here = [h for h in state.leases if engine.model in h.models]
        short = due - (engine.seats - engine.leases) - sum(h.job in ends for h in here)
        longest = sorted((h for h in here if h.job not in ends), key=lambda h: h.since)[: max(short, 0)]
        ends += [h.job for h in longest if _kept(h, engine, now) >= limit]
    return tuple(ends)


def _kept(held: Held, engine: EngineView, now: float) -> float:
    return now - max(held.since, engine.since)
