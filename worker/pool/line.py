"""Who waits for what, for how long at most, and whether one more may be promised the same.

The promise: every admitted job starts within ``max_wait + drain limit + one switch of its whole pair``. Jobs for the
same models form a group. Served one after the other, earliest deadline first, each group costs a *step*: the drain of
the engines in its way, the moves that bring up what no group before it could have left in memory, and the rounds its
jobs need because an engine seats only so many. What is left of its deadline after its own step and those before it is
a group's slack. A newcomer who would leave anybody too little is refused at once; while everybody has some, memory
stays where it serves most; when the least of it is gone, the line is served in order whatever else is going on.

A drain is reckoned at the longest answer seen lately; of many rounds all but one at the average answer, since nobody
is refused for a run of longest answers that never comes. Where answers turn out longer, the slack falls further, and
battles that are in the way are held to the reckoning (:func:`haste`): the promise rests on that, not on averages.
ops/decisions/0007-the-promise-on-waiting.md has the argument.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from worker.memory import NOTHING
from worker.pool.states import EngineState, EngineView, PoolState, Rules, Waiter


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


def drain_s(state: PoolState, rules: Rules) -> float:
    """What the drain of busy engines is reckoned to take."""
    return min(state.answer_s, rules.drain_limit_s)


def round_s(state: PoolState, rules: Rules) -> float:
    """For how long a battle is reckoned to keep a seat from the next one."""
    return min(state.typical_s, drain_s(state, rules))


# ── the reckoning ────────────────────────────────────────────────────────────────────────────────────────────────


def _reckoned(
    state: PoolState, waiting: Sequence[Group], now: float, rules: Rules, first: Group | None
) -> list[_Reckoned]:
    order = in_line(state, waiting)
    if first is not None:
        order.sort(key=lambda g: g.models != first.models)
    begun = bool(order) and order[0].models == state.switching
    # What sleeps may have to go for good; each engine that is put away below is reckoned to be woken or to go too.
    moves = state.move_left_s + sum(e.costs.unload_s for e in state.engines.values() if e.state is EngineState.SLEEPING)
    answers = 0.0
    up = [] if begun else [frozenset(m for m in state.engines if state.can_answer(m))]
    found = []
    for place, group in enumerate(order):
        if begun and place == 0:
            step, wait = _rest(state, group, now, rules)
        else:
            left_there = [*up, *(g.models for g in order if g is not group)]
            step, wait = _moves_s(state, group, left_there), _answers_s(state, group, rules)
        moves += step
        answers += wait
        found.append(_Reckoned(group.oldest + bound_s(state, group.models, rules) - now, moves, answers))
    return found


def _moves_s(state: PoolState, group: Group, left_there: Iterable[frozenset[str]]) -> float:
    """The moves of a whole step. What is in memory before it is one of ``left_there``, whichever helps least."""
    engines = local(state, group.models)
    found = [[e for e in engines if e.model in there] for there in left_there]
    kept_s = min((_load_s(kept) for kept in found), default=0.0)
    kept = min((len(kept) for kept in found), default=0)
    remote = (e for m in group.models if (e := state.engines[m]).elsewhere and not e.usable)
    others = [e for e in state.engines.values() if e.model not in group.models and not e.elsewhere]
    away = _goes_s(state, others, state.capacity - kept, len(engines) - kept)
    return _load_s(engines) - kept_s + _load_s(remote) + away


def _answers_s(state: PoolState, group: Group, rules: Rules) -> float:
    return drain_s(state, rules) + _rounds_s(state, group, [], rules)


def _rest(state: PoolState, group: Group, now: float, rules: Rules) -> tuple[float, float]:
    """Moves and answers that remain of the step of the group memory turns to already."""
    here = [state.engines[m] for m in sorted(group.models) if state.can_answer(m)]
    missing = [state.engines[m] for m in sorted(group.models) if not state.can_answer(m)]
    if not missing:
        return 0.0, max(_rounds_s(state, group, _taken(state, group, e, now), rules) for e in here)
    others = [e for e in state.engines.values() if e.resident and e.model not in group.models]
    away = _goes_s(state, [e for e in others if not e.pinned and e.model != state.moving], state.capacity, len(missing))
    coming = [e for e in missing if e.model == state.moving and not e.usable and e.state is not EngineState.STOPPING]
    moves = _load_s(e for e in missing if e not in coming) + away
    drain = drain_s(state, rules)
    waits = [drain - (now - e.since) for e in others if e.state is EngineState.DRAINING and e.leases]
    for e in here:
        if e.state is not EngineState.DRAINING:
            waits.append(drain)  # others may still take its seats
        else:
            waits += [drain - age for age in _taken(state, group, e, now)[: len(group.jobs)]]
    return moves, max([0.0, *waits]) + _rounds_s(state, group, [], rules)


def _taken(state: PoolState, group: Group, engine: EngineView, now: float) -> list[float]:
    """Of the seats ``group`` can use together, those taken: for how long since nobody else could, longest first."""
    taken = max(seats(state, group.models) - (engine.seats - engine.leases), 0)
    if engine.state is not EngineState.DRAINING:
        return [0.0] * taken
    kept = [now - max(held.since, engine.since) for held in state.leases if engine.model in held.models]
    return sorted(kept or [now - engine.since] * engine.leases, reverse=True)[:taken]


def _rounds_s(state: PoolState, group: Group, taken: Sequence[float], rules: Rules) -> float:
    """Until the last job has a seat, of which some have been ``taken`` for these times, longest first."""
    at_once = seats(state, group.models)
    drain, typical = drain_s(state, rules), round_s(state, rules)
    rounds, place = divmod(len(group.jobs) - 1, at_once)
    left = [0.0] * (at_once - len(taken)) + [max(drain - age, 0.0) for age in taken]
    longest = rounds * drain + left[place]
    done = (at_once - len(taken)) * typical + sum(min(age, typical) for age in taken)
    return min(longest, max(drain + ((len(group.jobs) - 1) * typical - done) / at_once, 0.0))


def _goes_s(state: PoolState, others: Sequence[EngineView], most: int, places: int) -> float:
    """Putting others away: one for each of ``places``, or up to ``most`` where bytes decide and not only places."""
    if places <= 0:
        return 0.0
    by_size = any(e.footprint.resident != NOTHING for e in state.engines.values())
    costs = sorted((_away_s(e) + (e.costs.unload_s if _may_sleep(e) else 0.0) for e in others), reverse=True)
    return sum(costs[: max(most, places) if by_size else places])


def _load_s(engines: Iterable[EngineView]) -> float:
    return sum(max(e.costs.load_s, e.costs.wake_s) if _may_sleep(e) else e.costs.load_s for e in engines)


def _away_s(engine: EngineView) -> float:
    return max(engine.costs.unload_s, engine.costs.sleep_s) if _may_sleep(engine) else engine.costs.unload_s


def _may_sleep(engine: EngineView) -> bool:
    return engine.footprint.l1 is not None or engine.footprint.l2 is not None


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
