"""``celery -A worker inspect ...``: what operators may see. The first line of each docstring is the listed help.

Facts are gathered on the runtime's loop, so that one answer is one moment. Never a text, never a session.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Any

from celery.worker.control import inspect_command

from worker.contract.events import SIDES
from worker.contract.jobs import BattleJob, ChatJob
from worker.control.answers import Answer, counted, inspected
from worker.control.engines import engine_facts
from worker.control.memory import memory_facts
from worker.control.waiting import plan_facts, queue_facts
from worker.errors import AdminError
from worker.pool.operations import Operation
from worker.runtime import Runtime

_SHOWN = 20
_ID = re.compile(r"[0-9a-f]{8}")


@inspect_command()  # type: ignore[untyped-decorator]
def engines(state: Any, **_: Any) -> Answer:
    """Every engine: state, leases, seats, memory, measured costs, and why it failed."""
    return inspected(state, engine_facts)


@inspect_command()  # type: ignore[untyped-decorator]
def queue(state: Any, **_: Any) -> Answer:
    """Who waits for which models, for how long, and when they are expected to start."""
    return inspected(state, queue_facts)


@inspect_command()  # type: ignore[untyped-decorator]
def memory(state: Any, **_: Any) -> Answer:
    """Both memory ledgers: budgets, what is reserved for which engine, pins."""
    return inspected(state, memory_facts)


@inspect_command()  # type: ignore[untyped-decorator]
def plan(state: Any, **_: Any) -> Answer:
    """What the scheduler would do at this moment, and why."""
    return inspected(state, plan_facts)


@inspect_command()  # type: ignore[untyped-decorator]
def battles(state: Any, **_: Any) -> Answer:
    """Battles queued or running here: models by side and age."""
    return inspected(state, battle_facts)


def battle_facts(runtime: Runtime) -> Answer:
    """By task id."""
    now = time.time()
    here = list(runtime.running.items())  # other threads add to it
    in_line = {w.job for w in runtime.pool.queue()}
    return {
        name: {
            **{side: getattr(r.job.sides, side).model for side in SIDES},
            "age_s": round(now - r.since, 1),
            "state": _standing(name, in_line),
        }
        for name, r in sorted(here, key=lambda item: item[0])
        if isinstance(r.job, BattleJob)
    }


@inspect_command()  # type: ignore[untyped-decorator]
def chats(state: Any, **_: Any) -> Answer:
    """Requests of /v1 queued or running here: model and age."""
    return inspected(state, chat_facts)


def chat_facts(runtime: Runtime) -> Answer:
    """By chat id."""
    now = time.time()
    here = list(runtime.running.items())
    in_line = {w.job for w in runtime.pool.queue()}
    return {
        name: {
            "model": r.job.side.model,
            "age_s": round(now - r.since, 1),
            "state": "waiting" if name in in_line else "running",
        }
        for name, r in sorted(here, key=lambda item: item[0])
        if isinstance(r.job, ChatJob)
    }


def _standing(name: str, in_line: set[str]) -> str:
    """Sides that do not fit together wait one by one, each under a name of its own."""
    apart = sum(f"{name}.{side}" in in_line for side in SIDES)
    if name in in_line or apart == len(SIDES):
        return "waiting"
    return "running, one side waits" if apart else "running"


@inspect_command(args=[("which", str)], signature="[operation id | how many]")  # type: ignore[untyped-decorator]
def operations(state: Any, which: object = "", **_: Any) -> Answer:
    """What was asked of this worker and what became of it, newest last."""
    return inspected(state, lambda runtime: _operations(runtime, which))


def _operations(runtime: Runtime, which: object) -> Answer:
    kept = runtime.pool.operations
    if isinstance(which, str) and _ID.fullmatch(which):
        found = kept.get(which)
        if found is None:
            raise AdminError(f"no operation {which} is known here; only the latest are kept, until a restart")
        return {"operations": [operation_facts(found)]}
    last = _SHOWN if which in ("", None) else counted(which, "inspect operations [operation id | how many]")
    known = kept.list()
    return {"operations": [operation_facts(o) for o in known[max(len(known) - last, 0) :]]}


def operation_facts(operation: Operation) -> Answer:
    """One operation as operators read it."""
    facts: Answer = {
        "operation": operation.id,
        "command": " ".join(w for w in (operation.command, operation.subject) if w),
        "state": operation.state,
        "asked": datetime.fromtimestamp(operation.at, UTC).isoformat(timespec="seconds"),
    }
    if operation.ended is not None:
        facts["took_s"] = round(operation.ended - operation.at, 1)
    if operation.detail:
        facts["detail"] = operation.detail
    return facts
