"""``inspect queue`` and ``inspect plan``: the line as the scheduler sees it, and what it makes of it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from worker.control.words import seconds, step, together
from worker.pool import line
from worker.pool.states import Load, Plan, PoolState, Refusal, Wake
from worker.report import generating
from worker.runtime import Runtime


def queue_facts(runtime: Runtime) -> dict[str, Any]:
    """Groups of battles that wait for the same engines, in the order in which they are to be served."""
    pool = runtime.pool
    now, state, rules = pool.clock(), pool.state(), pool.rules
    groups = line.groups(pool.queue())
    slack = line.slack_s(state, groups, now, rules)
    return {
        "waiting": pool.waiting,
        "running": generating(pool),
        "bound": rules.queue_bound,
        "oldest_s": seconds(max((now - g.oldest for g in groups), default=0.0)),
        "slack_s": seconds(slack),
        "line": [
            {
                "place": place,
                "models": together(group.models),
                "waiting": len(group.jobs),
                "oldest_s": seconds(now - group.oldest),
                "eta_s": seconds(line.eta_s(state, groups, group.models, now)),
                "starts_within_s": seconds(group.oldest + line.bound_s(state, group.models, rules) - now),
            }
            for place, group in enumerate(line.in_line(state, groups), 1)
        ],
    }


def plan_facts(runtime: Runtime) -> dict[str, Any]:
    """Nothing is done by asking. ``slack_s``: how long the line may still stand before a promise is at risk."""
    pool = runtime.pool
    now, state = pool.clock(), pool.state()
    groups = line.groups(pool.queue())
    decided = pool.planned()
    facts: dict[str, Any] = {
        "next": _next(state, decided),
        "starts": len(decided.grant),
        "refuses": _refusals(decided.refuse),
        "draining": {m: _serving(state.engines[m].leases) for m in sorted(decided.draining)},
        "ends_now": sorted(decided.preempt),
        "memory_turns_to": together(decided.switching) if decided.switching else None,
        "slack_s": seconds(line.slack_s(state, groups, now, pool.rules)),
        "asked": [f"{w.kind} {w.model} (operation {w.id})" for w in state.wishes],
    }
    if state.moving is not None:
        engine = state.engines[state.moving]
        facts["moving"] = {
            "model": engine.model,
            "state": str(engine.state),
            "left_s": seconds(state.move_left_s),
        }
    return facts


def _next(state: PoolState, decided: Plan) -> str:
    move = decided.move
    if move is None:
        return "nothing" if state.moving is None else f"one move at a time: {state.moving} first"
    if not isinstance(move, (Load, Wake)):
        return step(move)
    if decided.switching and move.model in decided.switching:
        return f"{step(move)}: battles wait for {together(decided.switching)}"
    asked = next((w.id for w in state.wishes if w.model == move.model), None)
    return f"{step(move)}: operation {asked}" if asked else step(move)


def _refusals(refused: tuple[Refusal, ...]) -> list[dict[str, Any]]:
    counted = Counter((r.kind, r.model, r.why, round(r.retry_after_s)) for r in refused)
    return [
        {"battles": n, "kind": kind, "model": model, "why": why, "retry_after_s": retry}
        for (kind, model, why, retry), n in counted.items()
    ]


def _serving(leases: int) -> str:
    return f"serves {leases} battle{'s' * (leases != 1)}" if leases else "idle"
