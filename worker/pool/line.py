"""Who waits for what, for how long at most, and whether one more may be promised the same.

The promise: every admitted job starts within ``max_wait + drain limit + one switch of its whole pair``. Jobs for the
same models form a group; groups are served one after the other, the one with the oldest job first. Serving a group
costs a *step*: the drain of the engines in its way, the moves for those of its engines that the group before it has
not left in memory, and the rounds its jobs need because an engine seats only so many. So each group has a latest
moment at which the line before it must begin to move: a newcomer for whom there is none is refused at once, and when
the earliest of them comes, the head of the line is served whatever else is going on.

A drain is reckoned at the longest answer seen lately; of many rounds all but one at the average answer, since nobody
is refused for a run of longest answers that never comes. Where answers turn out longer than reckoned and no slack is
left, drains and rounds are held to the reckoning (plan.py preempts), and a drain to its limit in any case: the promise
rests on that, not on the averages.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil

from worker.pool.states import EngineView, PoolState, Rules, Waiter


@dataclass(frozen=True, slots=True)
class Group:
    """Jobs that wait for the same models, in order of arrival."""

    models: frozenset[str]
    jobs: tuple[Waiter, ...]

    @property
    def oldest(self) -> float:
        return min(w.since for w in self.jobs)

    def waited(self, now: float) -> float:
        """Their waiting, summed: job-seconds."""
        return sum(now - w.since for w in self.jobs)


def groups(waiting: Iterable[Waiter]) -> list[Group]:
    """In order of their first arrival."""
    found: dict[frozenset[str], list[Waiter]] = {}
    for waiter in waiting:
        found.setdefault(waiter.models, []).append(waiter)
    return [Group(models, tuple(jobs)) for models, jobs in found.items()]


def in_line(state: PoolState, waiting: Sequence[Group]) -> list[Group]:
    """The order in which groups are served: a switch that has begun, then by the oldest job."""
    return sorted(waiting, key=lambda g: (g.models != state.switching, g.oldest))


def local(state: PoolState, models: Iterable[str]) -> list[EngineView]:
    """Those of ``models`` that need memory here, by id."""
    return [e for m in sorted(models) if not (e := state.engines[m]).elsewhere]


def switch_s(state: PoolState, models: Iterable[str]) -> float:
    """Seconds, as measured, to put other engines away and bring all of ``models`` up from nothing."""
    up = local(state, models)
    away = sorted((_away_s(e) for e in state.engines.values()), reverse=True)
    return _load_s(up) + sum(away[: len(up)])


def bound_s(state: PoolState, models: Iterable[str], rules: Rules) -> float:
    """Longest time a job for ``models`` may wait, from the moment it was admitted."""
    return rules.max_wait_s + rules.drain_limit_s + switch_s(state, models)


def seats(state: PoolState, models: Iterable[str]) -> int:
    """Jobs all of ``models`` can serve together."""
    return max(min((state.engines[m].seats for m in models), default=1), 1)


def step_s(state: PoolState, group: Group, up: frozenset[str], rules: Rules) -> float:
    """Longest time from the moment a group's turn comes until its last job has started. ``up``: in memory by then."""
    at_once = seats(state, group.models)
    missing = [e for e in local(state, group.models) if e.model not in up]
    away = switch_s(state, group.models) - _load_s(local(state, group.models)) if missing else 0.0
    return _drain_s(state, rules) + _load_s(missing) + away + _rounds_s(state, len(group.jobs), at_once, at_once, rules)


def slack_s(
    state: PoolState,
    waiting: Sequence[Group],
    now: float,
    rules: Rules,
    *,
    drained: bool = False,
    first: Group | None = None,
) -> float:
    """Seconds for which the line may still stand without breaking a promise; negative when one cannot be kept.

    ``drained``: as if the engines in the way of the begun switch were idle now. ``first``: as if that group were served
    before the others.
    """
    order = in_line(state, waiting)
    if first is not None:
        order.sort(key=lambda g: g.models != first.models)
    up = frozenset(e.model for e in state.engines.values() if e.usable)
    ahead, least = 0.0, float("inf")
    for place, group in enumerate(order):
        if place == 0 and (group.models == state.switching or group.models <= up):
            ahead = _left_s(state, group, now, rules, drained=drained)
        else:
            ahead += step_s(state, group, up, rules) + (state.move_left_s if place == 0 else 0.0)
        up = group.models
        least = min(least, group.oldest + bound_s(state, group.models, rules) - now - ahead)
    return least


def _left_s(state: PoolState, group: Group, now: float, rules: Rules, *, drained: bool) -> float:
    """What remains of the step of the group whose turn has come, or whose engines are in memory."""
    engines = local(state, group.models)
    at_once = seats(state, group.models)
    missing = [e for e in engines if not e.usable]
    if not missing:
        taken = max((state.engines[m].leases for m in group.models), default=0)
        free = at_once if drained else max(at_once - taken, 0)
        return _rounds_s(state, len(group.jobs), free, at_once, rules)
    inside = {e.model for e in engines}
    others = [e for e in state.engines.values() if e.resident and e.model not in inside and e.model != state.moving]
    away = sorted((_away_s(e) for e in others), reverse=True)[: len(engines)]
    moves = state.move_left_s + _load_s(e for e in missing if e.model != state.moving) + sum(away)
    drain = 0.0
    if not drained and any(e.leases for e in others):
        drain = max(_drain_s(state, rules) - (now - state.begun), 0.0)
    shared = _drain_s(state, rules) if any(e.leases for e in engines) and not drained else 0.0
    return max(drain + moves, shared) + _rounds_s(state, len(group.jobs), at_once, at_once, rules)


def _drain_s(state: PoolState, rules: Rules) -> float:
    return min(state.answer_s, rules.drain_limit_s)


def _rounds_s(state: PoolState, jobs: int, free: int, at_once: int, rules: Rules) -> float:
    """Until the last of ``jobs`` has a seat, where ``free`` of ``at_once`` seats are free now."""
    late = jobs - free
    if late <= 0:
        return 0.0
    drain = _drain_s(state, rules)
    typical = min(state.typical_s, drain)
    return min(ceil(late / at_once) * drain, drain + (late - 1) / at_once * typical)


def _load_s(engines: Iterable[EngineView]) -> float:
    return sum(e.costs.load_s for e in engines)


def _away_s(engine: EngineView) -> float:
    return max(engine.costs.unload_s, engine.costs.sleep_s)


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
    ready = all(e.usable and e.leases < e.seats for m in models if (e := state.engines[m]))
    if ready and not any(g.models == models for g in waiting) and state.switching is None:
        return 0.0
    total = 0.0
    for group in in_line(state, waiting):
        spent = now - state.begun if group.models == state.switching else 0.0
        total += max(expected_s(state, group.models) - spent, 0.5)
        if group.models == models:
            return total
    return total + expected_s(state, models)
