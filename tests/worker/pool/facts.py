"""Short names for the facts plan() decides on: four engines ``a`` to ``d``, those in ``up`` in memory."""

from __future__ import annotations

from dataclasses import replace

from worker.memory import NO_LIMIT, Bytes
from worker.pool import line
from worker.pool.plan import plan
from worker.pool.states import Costs, EngineState, EngineView, Held, Plan, PoolState, Rules, Waiter

RULES = Rules(max_wait_s=60.0, drain_limit_s=30.0)
COSTS = Costs(load_s=10.0, unload_s=1.0, sleep_s=1.0, wake_s=2.0)


def pool(
    up: str = "", *, capacity: int = 2, engines: dict[str, dict[str, object]] | None = None, **more: object
) -> PoolState:
    """``engines``: fields that differ, by model. Those in memory were last used at 0."""
    known = {m: EngineView(m, EngineState.READY if m in up else EngineState.COLD, seats=4, costs=COSTS) for m in "abcd"}
    for model, fields in (engines or {}).items():
        known[model] = replace(known.get(model, EngineView(model, costs=COSTS)), **fields)  # type: ignore[arg-type]
    return PoolState(known, capacity, answer_s=10.0, typical_s=4.0, **more)  # type: ignore[arg-type]


def held(state: PoolState, models: str, n: int, since: float = 0.0) -> PoolState:
    """``n`` battles more that hold ``models``."""
    leases = tuple(Held(f"held-{models}{i}", frozenset(models), since) for i in range(n))
    busy = {m: replace(e, leases=e.leases + n) if m in models else e for m, e in state.engines.items()}
    return replace(state, engines=busy, leases=(*state.leases, *leases))


def changed(before: PoolState, models: str, **fields: object) -> PoolState:
    after = {m: replace(e, **fields) if m in models else e for m, e in before.engines.items()}  # type: ignore[arg-type]
    return replace(before, engines=after)


def jobs(models: str, n: int = 1, since: float = 0.0, *, session: str = "", admitted: bool = True) -> list[Waiter]:
    """Their ids are ``ab0``, ``ab1`` …"""
    return [Waiter(f"{models}{i}", frozenset(models), since, session=session, admitted=admitted) for i in range(n)]


def decide(
    state: PoolState, waiting: list[Waiter], now: float, rules: Rules = RULES, ledgers: Bytes = NO_LIMIT
) -> Plan:
    return plan(state, waiting, ledgers, now, rules)


def slack(state: PoolState, waiting: list[Waiter], now: float = 0.0, rules: Rules = RULES) -> float:
    return line.slack_s(state, line.groups(waiting), now, rules)
