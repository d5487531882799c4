"""Who waits for what, for how long at most, and whether one more may be promised the same.

The promise: every admitted job starts within ``max_wait + drain limit + one switch of its whole pair``. Jobs for the
same models form a group; groups are served one after the other, the one with the oldest job first. Serving a group
costs a *step*: the drain of the engines in its way, the switch, and one drain more for every round its jobs need
because an engine seats only so many. So each group has a latest moment at which the line before it must begin to move:
a newcomer for whom there is none is refused at once, and when the earliest of them comes, the head of the line is
served whatever else is going on. A drain is reckoned at the longest answer seen lately; where the line has no slack
left it is also held to that, and to the drain limit in any case.
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
    away = sorted((max(e.costs.unload_s, e.costs.sleep_s) for e in state.engines.values()), reverse=True)
    return sum(e.costs.load_s for e in up) + sum(away[: len(up)])


def bound_s(state: PoolState, models: Iterable[str], rules: Rules) -> float:
    """Longest time a job for ``models`` may wait, from the moment it was admitted."""
    return rules.max_wait_s + rules.drain_limit_s + switch_s(state, models)


def seats(state: PoolState, models: Iterable[str]) -> int:
    """Jobs all of ``models`` can serve together."""
    return max(min((state.engines[m].seats for m in models), default=1), 1)


def step_s(state: PoolState, group: Group, rules: Rules) -> float:
    """Longest time from the moment a group's turn comes until its last job has started."""
    drain = min(state.answer_s, rules.drain_limit_s)
    return ceil(len(group.jobs) / seats(state, group.models)) * drain + switch_s(state, group.models)


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
    ahead = state.move_left_s if state.switching is None else 0.0
    least = float("inf")
    order = in_line(state, waiting)
    if first is not None:
        order.sort(key=lambda g: g.models != first.models)
    for group in order:
        step = step_s(state, group, rules)
        if group.models == state.switching:
            spent = now - state.begun
            step = step - min(state.answer_s, rules.drain_limit_s) if drained else max(step - spent, 0.0)
        ahead += step
        least = min(least, group.oldest + bound_s(state, group.models, rules) - now - ahead)
    return least


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
