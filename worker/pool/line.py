"""Who waits for what, for how long at most, and whether one more may be promised the same.

The promise: every admitted job starts within ``max_wait + drain limit + one switch of its whole pair``. Jobs for the
same models form a group. Served one after the other, earliest deadline first, each group costs a *step* (steps.py): the
drain of the engines in its way, the moves that bring up what no group before it could have left in memory, and the
rounds its jobs need because an engine seats only so many. What is left of its deadline after its own step and those
before it is a group's slack. A newcomer who would leave anybody too little is refused at once; while everybody has
some, memory stays where it serves most; when the least of it is gone, the line is served in order, come what may.

A drain is reckoned at the longest answer seen lately; of many rounds all but one at the average answer, since nobody
is refused for a run of longest answers that never comes. Where answers turn out longer, the slack falls further, and
battles that are in the way are held to the reckoning (:func:`haste`): the promise rests on that, not on averages.
ops/decisions/0007-the-promise-on-waiting.md has the argument.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from worker.pool import steps
from worker.pool.states import EngineState, EngineView, PoolState, Rules, Waiter
from worker.pool.steps import Group as Group
from worker.pool.steps import local, switch_s


@dataclass(frozen=True, slots=True)
class _Reckoned:
    """Seconds from now until the last job of a group has started, all steps before it included."""

    left_s: float
    """Until its deadline."""
    moves_s: float
    answers_s: float
    """Waiting for battles to end: the part that ending them early shortens."""


def groups(waiting: Iterable[Waiter]) -> list[Group]:
    """In order of their first arrival."""
    found: dict[frozenset[str], list[Waiter]] = {}
    for waiter in waiting:
        found.setdefault(waiter.models, []).append(waiter)
    return [Group(models, tuple(jobs)) for models, jobs in found.items()]


def in_line(state: PoolState, waiting: Sequence[Group]) -> list[Group]:
    """The order in which groups are served: a switch that has begun, then by deadline."""
    return sorted(waiting, key=lambda g: (g.models != state.switching, g.oldest + switch_s(state, g.models)))


def pinned_out(state: PoolState) -> list[EngineView]:
    """Pinned engines that are owed a place in memory, by id."""
    out = [e for e in state.engines.values() if e.pinned and not e.retiring and not state.can_answer(e.model)]
    return sorted(out, key=lambda e: e.model)


def bound_s(state: PoolState, models: Iterable[str], rules: Rules) -> float:
    """Longest time a job for ``models`` may wait, from the moment it was admitted."""
    return rules.max_wait_s + rules.drain_limit_s + switch_s(state, models)


def slack_s(
    state: PoolState, waiting: Sequence[Group], now: float, rules: Rules, *, first: Group | None = None
) -> float:
    """Seconds for which the line may still stand without breaking a promise; negative when one cannot be kept.

    ``first``: as if that group were served before the others.
    """
    reckoned = _reckoned(state, waiting, now, rules, first)
    return min((r.left_s - r.moves_s - r.answers_s for r in reckoned), default=float("inf"))


def least_s(rules: Rules) -> float:
    """With no more slack than this the line is served in order: one tick to notice, one to act."""
    return 2 * rules.tick_s


def haste(state: PoolState, waiting: Sequence[Group], now: float, rules: Rules) -> float:
    """What part of the reckoned answers there is still time for, 1 where all of it; promises past keeping aside."""
    part = 1.0
    for r in _reckoned(state, waiting, now, rules, None):
        spare = r.left_s - r.moves_s - rules.tick_s
        if r.answers_s and -rules.tick_s <= spare < r.answers_s:
            part = min(part, max(spare, 0.0) / r.answers_s)
    return part


# ── the reckoning ────────────────────────────────────────────────────────────────────────────────────────────────


def _reckoned(
    state: PoolState, waiting: Sequence[Group], now: float, rules: Rules, first: Group | None
) -> list[_Reckoned]:
    order = _order(state, waiting, first)
    begun = bool(order) and order[0].models == state.switching
    # What sleeps may have to go for good; each engine that is put away below is reckoned to be woken or to go too.
    moves = state.move_left_s + sum(e.costs.unload_s for e in state.engines.values() if e.state is EngineState.SLEEPING)
    answers = 0.0
    up = [] if begun else [frozenset(m for m in state.engines if state.can_answer(m))]
    found = []
    for place, group in enumerate(order):
        if begun and place == 0:
            step, wait = steps.rest(state, group, now, rules)
        else:
            left_there = [*up, *(g.models for g in order if g is not group)]
            step, wait = steps.whole(state, group, left_there, rules)
        moves += step
        answers += wait
        if group.jobs:
            found.append(_Reckoned(group.oldest + bound_s(state, group.models, rules) - now, moves, answers))
    return found


def _order(state: PoolState, waiting: Sequence[Group], first: Group | None) -> list[Group]:
    """What memory turns to, in order. Pinned engines that are out come before everything that has not begun."""
    order = in_line(state, waiting)
    if first is not None:
        order.sort(key=lambda g: g.models != first.models)
    ahead = [g for g in order[:1] if first is not None or g.models == state.switching]
    pins = [Group(frozenset((e.model,)), ()) for e in pinned_out(state)]
    pins.sort(key=lambda g: g.models != state.switching)
    return [*ahead, *pins, *order[len(ahead) :]]


# ── expectations ─────────────────────────────────────────────────────────────────────────────────────────────────


def retry_s(state: PoolState, waiting: Sequence[Group], rules: Rules, now: float) -> float:
    """Seconds after which the line is expected to have moved on by one group."""
    if not waiting:
        return 1.0
    head = in_line(state, waiting)[0]
    spent = now - state.begun if head.models == state.switching else 0.0
    return max(expected_s(state, head.models) - spent, 1.0)


def expected_s(state: PoolState, models: Iterable[str]) -> float:
    """Seconds a group's turn is expected to take: half an answer of draining, and what its engines need now."""
    up = local(state, models)
    return state.typical_s / 2 + sum(e.bring_s for e in up)


def eta_s(state: PoolState, waiting: Sequence[Group], models: frozenset[str], now: float) -> float:
    """Seconds until a job for ``models`` is expected to start, were it the last of the line."""
    ready = all(state.can_answer(m) and (e := state.engines[m]).leases < e.seats for m in models)
    if ready and not any(g.models == models for g in waiting) and state.switching is None:
        return 0.0
    total = 0.0
    for group in in_line(state, waiting):
        spent = now - state.begun if group.models == state.switching else 0.0
        total += max(expected_s(state, group.models) - spent, 0.5)
        if group.models == models:
            return total
    return total + expected_s(state, models)
