"""What it costs to serve one group: the moves that bring its engines up, the answers that have to end for it.

A group's *step* begins when its turn comes and ends when its last job has started. :func:`whole` reckons one that is to
come, from whatever may be in memory by then; :func:`rest` one that is under way, from what is known to be left of it.
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


def local(state: PoolState, models: Iterable[str]) -> list[EngineView]:
    """Those of ``models`` that need memory here, by id."""
    return [e for m in sorted(models) if not (e := state.engines[m]).elsewhere]


def switch_s(state: PoolState, models: Iterable[str]) -> float:
    """Seconds, as measured, to put other engines away and bring all of ``models`` up from nothing."""
    up = local(state, models)
    away = sorted((_away_s(e) for e in state.engines.values()), reverse=True)
    return _load_s(up) + sum(away[: len(up)])


def seats(state: PoolState, models: Iterable[str]) -> int:
    """Jobs all of ``models`` can serve together."""
    return max(min((state.engines[m].seats for m in models), default=1), 1)


def drain_s(state: PoolState, rules: Rules) -> float:
    """What the drain of busy engines is reckoned to take."""
    return min(state.answer_s, rules.drain_limit_s)


def round_s(state: PoolState, rules: Rules) -> float:
    """For how long a battle is reckoned to keep a seat from the next one."""
    return min(state.typical_s, drain_s(state, rules))


def whole(state: PoolState, group: Group, left_there: Iterable[frozenset[str]], rules: Rules) -> tuple[float, float]:
    """Seconds of moves and of answers. What is in memory before it is one of ``left_there``, whichever helps least."""
    return _moves_s(state, group, left_there), drain_s(state, rules) + _rounds_s(state, group, [], rules)


def rest(state: PoolState, group: Group, now: float, rules: Rules) -> tuple[float, float]:
    """Seconds of moves and of answers that remain of the step of the group memory turns to already."""
    here = [state.engines[m] for m in sorted(group.models) if state.can_answer(m)]
    missing = [state.engines[m] for m in sorted(group.models) if not state.can_answer(m)]
    if not missing:
        return 0.0, max(_rounds_s(state, group, _taken(state, group, e, now), rules) for e in here)
    others = [e for e in state.engines.values() if e.resident and e.model not in group.models]
    places = sum(not e.elsewhere for e in missing)
    away = _goes_s(state, [e for e in others if not e.pinned and e.model != state.moving], state.capacity, places)
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


def _moves_s(state: PoolState, group: Group, left_there: Iterable[frozenset[str]]) -> float:
    engines = local(state, group.models)
    found = [[e for e in engines if e.model in there] for there in left_there]
    kept_s = min((_load_s(kept) for kept in found), default=0.0)
    kept = min((len(kept) for kept in found), default=0)
    remote = (e for m in group.models if (e := state.engines[m]).elsewhere and not e.usable)
    others = [e for e in state.engines.values() if e.model not in group.models and not e.elsewhere]
    away = _goes_s(state, others, state.capacity - kept, len(engines) - kept)
    return _load_s(engines) - kept_s + _load_s(remote) + away


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
    if not group.jobs:
        return 0.0
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
