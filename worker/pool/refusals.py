"""Which waiting jobs are told no, and why: at once, so that nobody waits for what cannot come."""

from __future__ import annotations

from collections.abc import Sequence

from worker.memory import Bytes
from worker.pool import line, room
from worker.pool.states import EngineState, PoolState, Refusal, Rules, Waiter

UNKNOWN = "not in this worker's catalog"

UNKNOWN = "not in this worker's catalog"


def refusals(
    state: PoolState, waiting: Sequence[Waiter], ledgers: Bytes, now: float, rules: Rules
) -> tuple[Refusal, ...]:
    """In order of arrival. Newcomers are tried one by one, each on top of those already admitted.

    ``overloaded`` says that the line has no place for them; plan() lets them start all the same if they can do so now.
    """
    refused: list[Refusal] = []
    admitted: list[Waiter] = []
    newcomers: list[Waiter] = []
    for w in waiting:
        no = _unavailable(state, w, now, rules) or _apart(state, w, ledgers)
        if no is not None:
            refused.append(no)
        else:
            (admitted if w.admitted else newcomers).append(w)
    for w in newcomers:
        if (no := _overloaded(state, admitted, w, now, rules)) is not None:
            refused.append(no)
        else:
            admitted.append(w)
    return tuple(refused)


def overloaded(
    state: PoolState, waiting: Sequence[Waiter], models: frozenset[str], now: float, rules: Rules
) -> float | None:
    """Seconds after which a job for ``models`` should ask again; None when it would be admitted now."""
    if _at_once(state, waiting, models):
        return None
    no = _overloaded(state, waiting, Waiter("", models, now), now, rules)
    return None if no is None else no.retry_after_s


def _unavailable(state: PoolState, waiter: Waiter, now: float, rules: Rules) -> Refusal | None:
    for model in sorted(waiter.models):
        engine = state.engines.get(model)
        if engine is None or engine.gone:
            return Refusal(waiter.job, "unavailable", model, UNKNOWN)
        if engine.state is EngineState.FAILED and engine.failed_until - now > rules.patience_s:
            return Refusal(waiter.job, "unavailable", model, engine.why)
    return None


def _apart(state: PoolState, waiter: Waiter, ledgers: Bytes) -> Refusal | None:
    models = {m for m in waiter.models if not state.engines[m].elsewhere}
    if room.together(state, ledgers, models):
        return None
    alone = [m for m in sorted(models) if not room.together(state, ledgers, {m})]
    if alone:
        pins = sorted(e.model for e in state.engines.values() if e.pinned and e.model not in models)
        why = f"no room beside {', '.join(pins)}, which is pinned" if pins else "larger than the memory there is"
        return Refusal(waiter.job, "unavailable", alone[0], why)
    return Refusal(waiter.job, "apart")


def _overloaded(
    state: PoolState, admitted: Sequence[Waiter], waiter: Waiter, now: float, rules: Rules
) -> Refusal | None:
    queue = line.groups((*admitted, waiter))
    if len(admitted) < rules.queue_bound and line.slack_s(state, queue, now, rules) >= line.least_s(rules):
        return None
    return Refusal(waiter.job, "overloaded", retry_after_s=line.retry_s(state, queue, rules, now))


def _at_once(state: PoolState, waiting: Sequence[Waiter], models: frozenset[str]) -> bool:
    """Its engines can answer, nobody waits for any of them, and there is a seat on each."""
    if any(w.models & models for w in waiting):
        return False
    engines = [state.engines[m] for m in models]
    return all(state.can_answer(e.model) and e.state is EngineState.READY and e.leases < e.seats for e in engines)
