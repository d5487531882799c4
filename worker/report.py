"""What a worker tells the rest of the arena about itself, made from the pool's facts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from types import MappingProxyType

from worker.answering import together
from worker.contract.placement import job_key
from worker.contract.residency import Residency, pair_key
from worker.pool import line
from worker.pool.outlook import outlook, outlook_alone
from worker.pool.pool import Pool
from worker.pool.states import EngineState

ALL_PAIRS = 24
"""Of so many contenders every pair's outlook is told; of more only of those in memory, or that somebody waits for."""
_COMING = (EngineState.STARTING, EngineState.LOADING, EngineState.WAKING, EngineState.VERIFYING)


def generating(pool: Pool) -> int:
    """Battles that hold engines; one whose sides are answered apart counts once."""
    return len({together(job) for job in pool.leased})


def report_of(pool: Pool, worker: str, accepting: bool, asked: Mapping[str, float] = MappingProxyType({})) -> Residency:
    """To be called on the pool's loop. ``asked``: jobs a minute, by what they needed."""
    now = pool.clock()
    catalog = pool.slots.catalog
    state = pool.state()
    here = {m: e for m in catalog.ids if (e := state.engines.get(catalog.engine_of(m))) is not None}
    queue = pool.queue()
    wanted = {m for w in queue for m in w.models}
    told = [m for m, e in here.items() if len(here) <= ALL_PAIRS or e.resident or e.model in wanted]
    ahead = outlook(state, queue, pool.ledgers, now, pool.rules, told, catalog.engine_of)

    def having(*states: EngineState) -> tuple[str, ...]:
        return tuple(sorted(m for m, e in here.items() if e.state in states))

    resting = {
        m: e.why
        for m, e in here.items()
        if e.state is EngineState.FAILED and e.failed_until - now > pool.rules.patience_s
    }
    return Residency(
        worker=worker,
        at=time.time(),
        accepting=accepting,
        capacity=pool.capacity,
        models=tuple(here),
        ready=having(EngineState.READY, EngineState.DRAINING),
        loading=having(*_COMING),
        sleeping=having(EngineState.SLEEPING),
        failed=resting,
        running=generating(pool),
        waiting=pool.waiting,
        queue_bound=pool.rules.queue_bound,
        eta_s=min(ahead.eta.values(), default=None),
        eta={pair_key(*pair): s for pair, s in ahead.eta.items()},
        refuses={pair_key(*pair): s for pair, s in ahead.refuses.items()},
        refuses_alone=outlook_alone(state, queue, now, pool.rules, here, catalog.engine_of),
        bring_s={m: e.bring_s for m, e in here.items() if e.bring_s > 0},
        line_s=sum(line.expected_s(state, g.models) for g in line.groups(queue)),
        each_s=state.typical_s / max(min((e.seats for e in here.values()), default=1), 1),
        asked=dict(asked),
        waits=_waits({w.models for w in queue}, told, catalog.engine_of),
        planned=tuple(sorted({w.model for w in state.wishes if w.kind == "load"})),
    )


def _waits(groups: set[frozenset[str]], told: Sequence[str], engine_of: Callable[[str], str]) -> tuple[str, ...]:
    """Which jobs would find others waiting for the same engines. ``groups``: the engines that jobs wait for."""
    if not groups:
        return ()
    jobs = (*combinations(told, 2), *((model,) for model in told))
    return tuple(job_key(models) for models in jobs if frozenset(map(engine_of, models)) in groups)
