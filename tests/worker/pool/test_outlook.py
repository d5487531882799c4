"""What web is told that a newcomer would meet: here for one model by itself, as requests of ``/v1`` want it."""

from __future__ import annotations

from tests.worker.pool.facts import RULES, decide, held, jobs, pool
from worker.pool.outlook import outlook_alone
from worker.pool.states import PoolState, Waiter


def refused(state: PoolState, waiting: list[Waiter]) -> dict[str, float]:
    return outlook_alone(state, waiting, 0.0, RULES, "abcd", lambda model: model)


def test_nobody_is_refused_while_the_line_is_empty() -> None:
    assert refused(pool("ab"), []) == {}


def test_what_is_told_is_what_a_newcomer_then_meets() -> None:
    state = held(pool("ab"), "ab", 4)
    waiting = [w for models in ("cd", "ac", "bd", "ad", "bc", "ab") for w in jobs(models, 16)]
    told = refused(state, waiting)
    assert told
    for model in "abcd":
        newcomer = Waiter("new", frozenset(model), 0.0, admitted=False)
        decided = decide(state, [*waiting, newcomer], 0.0)
        assert ("new" in {r.job for r in decided.refuse}) == (model in told), model
        assert told.get(model, 1.0) >= 1.0
