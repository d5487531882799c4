"""What a worker tells the rest of the arena about itself, made from the pool's facts."""

from __future__ import annotations

import time

from worker.answering import together
from worker.contract.residency import Residency, pair_key
from worker.pool.outlook import outlook, outlook_alone
from worker.pool.pool import Pool
from worker.pool.states import EngineState

_COMING = (EngineState.STARTING, EngineState.LOADING, EngineState.WAKING, EngineState.VERIFYING)


def generating(pool: Pool) -> int:
    """Battles that hold engines; one whose sides are answered apart counts once."""
    return len({together(job) for job in pool.leased})


def report_of(pool: Pool, worker: str, accepting: bool) -> Residency:
    """To be called on the pool's loop."""
    now = pool.clock()
    catalog = pool.slots.catalog
    state = pool.state()
    here = {m: e for m in catalog.ids if (e := state.engines.get(catalog.engine_of(m))) is not None}
    queue = pool.queue()
    ahead = outlook(state, queue, pool.ledgers, now, pool.rules, here, catalog.engine_of)

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
    )
