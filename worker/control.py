"""Operators' commands: ``celery -A worker inspect engines|battles``, ``celery -A worker control load|unload|cancel``.

Handlers run in Celery's main loop, so each answers at once: slow work is scheduled and seen through ``inspect``.
Arguments arrive as text and are checked here; a refusal is an answer, never a traceback.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from celery.worker.control import control_command, inspect_command

from worker.contract.events import Side
from worker.errors import AdminError
from worker.pool.desk import Desk
from worker.runtime import Runtime


def _runtime(state: Any) -> Runtime:
    runtime: Runtime | None = getattr(state.app, "arena", None)
    if runtime is None:
        raise AdminError("the worker is still starting; try again in a moment")
    return runtime


@inspect_command()  # type: ignore[untyped-decorator]
def engines(state: Any, **_: Any) -> dict[str, Any]:
    """Every model: state, leases, seconds since last use, load time, why it failed."""
    return _answer(state, _engines)


def _engines(runtime: Runtime) -> dict[str, Any]:
    pool = runtime.pool
    now = pool.clock()
    listed: dict[str, Any] = {}
    for model, slot in pool.slots.items():
        view = slot.view
        facts: dict[str, Any] = {"state": str(view.state), "leases": view.leases, "loads": slot.loads}
        if view.last_used:
            facts["idle_s"] = 0 if view.leases else round(now - view.last_used, 1)
        if slot.loads:
            facts["load_s"] = round(view.costs.load_s, 1)
        if view.failed_until > now:
            facts |= {"failed_for_s": round(view.failed_until - now), "why": view.why}
        listed[model] = facts
    return {
        "capacity": pool.capacity,
        "running": len(runtime.running) - pool.waiting,
        "waiting": pool.waiting,
        "engines": listed,
    }


@inspect_command()  # type: ignore[untyped-decorator]
def battles(state: Any, **_: Any) -> dict[str, Any]:
    """Battles queued or running here: models by side and age; never texts."""
    return _answer(state, _battles)


def _battles(runtime: Runtime) -> dict[str, Any]:
    sides: tuple[Side, Side] = ("a", "b")
    return {
        name: {
            **{side: getattr(r.job.sides, side).model for side in sides},
            "age_s": round(time.time() - r.since, 1),
            "state": "running" if runtime.pool.progress(name) is None else "waiting",
        }
        for name, r in sorted(runtime.running.items())
    }


@control_command(args=[("model", str)], signature="<model>")  # type: ignore[untyped-decorator]
def load(state: Any, model: str = "", **_: Any) -> dict[str, Any]:
    """Load a model's engine, evicting the least recently used idle one if there is no room."""
    return _command(state, lambda runtime: Desk(runtime.pool).load(_named(model, "load <model>")).detail)


@control_command(args=[("model", str)], signature="<model>")  # type: ignore[untyped-decorator]
def unload(state: Any, model: str = "", **_: Any) -> dict[str, Any]:
    """Unload a model's engine if no battle is using it."""
    return _command(state, lambda runtime: Desk(runtime.pool).unload(_named(model, "unload <model>")).detail)


@control_command(args=[("battle", str)], signature="<battle id>")  # type: ignore[untyped-decorator]
def cancel(state: Any, battle: str = "", **_: Any) -> dict[str, Any]:
    """Cancel a battle that waits or runs on this worker."""

    def do(runtime: Runtime) -> str:
        if not runtime.cancel(_named(battle, "cancel <battle id>"), "operator"):
            raise AdminError(f"no battle {battle!r} waits or runs here; see: celery -A worker inspect battles")
        return f"{battle} is being cancelled"

    return _command(state, do)


def _named(value: str, usage: str) -> str:
    if not value:
        raise AdminError(f"say which: celery -A worker control {usage}")
    return value


def _command(state: Any, do: Callable[[Runtime], str]) -> dict[str, Any]:
    return _answer(state, lambda runtime: {"ok": do(runtime)})


def _answer(state: Any, work: Callable[[Runtime], dict[str, Any]]) -> dict[str, Any]:
    try:
        runtime = _runtime(state)
        return runtime.on_loop(lambda: work(runtime))
    except AdminError as error:
        return {"error": str(error)}
