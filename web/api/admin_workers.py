"""``/api/admin``: commands to workers, under the names they have after ``celery -A worker inspect`` and ``control``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from apiflask import APIBlueprint

from web.admin import workers
from web.admin.errors import CommandRefused, NotSignedIn, UnknownWorker, WorkerSilent
from web.admin.operators import guard, operator
from web.admin.tell import tell
from web.api.schemas.admin import AnswersOut, CapacityIn, OperationsQuery, SleepIn, WorkerQuery, WorkersOut
from web.context import arena
from web.errors import CrossOrigin, NoWorker
from web.openapi import access, problems
from worker.contract import commands
from worker.contract.commands import Command

bp = APIBlueprint("admin_workers", __name__, url_prefix="/api/admin", tag="Admin")
guard(bp)

_REFUSALS = (NotSignedIn, CrossOrigin, NoWorker, UnknownWorker, CommandRefused, WorkerSilent)


def _look(command: Command, worker: str | None) -> dict[str, Any]:
    answers = workers.ask(arena(), operator(), command, worker)
    return {"workers": {a.pop("worker"): a for a in answers}}


def _do(command: Command, worker: str | None) -> dict[str, Any]:
    answers = workers.ask(arena(), operator(), command, worker)
    tell(arena(), "workers")
    return {"answers": answers}


def _inspection(name: str, command: Command, what: str) -> Callable[..., Any]:
    @bp.get(f"/{name}", endpoint=name)
    @bp.input(WorkerQuery, location="query", arg_name="query")
    @bp.output(WorkersOut)
    @bp.doc(summary=what, operation_id=f"admin_{name}")
    @problems(*_REFUSALS)
    @access(session=False, scope="admin")
    def show(query: WorkerQuery) -> dict[str, Any]:
        return _look(command, query.worker)

    return show


_inspection("engines", commands.Engines(), "Every engine: state, leases, seats, memory, costs, why it failed")
_inspection("queue", commands.Queue(), "Who waits for which models, how long, and until when")
_inspection("memory", commands.Memory(), "Both memory ledgers, what is reserved for which engine, pins")
_inspection("plan", commands.Plan(), "What the scheduler would do at this moment, and why")
_inspection("battles", commands.Battles(), "Battles queued or running: models by side and age")
_inspection("chats", commands.Chats(), "Requests of /v1 queued or running: model and age")


@bp.get("/operations")
@bp.input(OperationsQuery, location="query", arg_name="query")
@bp.output(WorkersOut)
@problems(*_REFUSALS)
@access(session=False, scope="admin")
def operations(query: OperationsQuery) -> dict[str, Any]:
    """What was asked of each worker and what became of it, newest last."""
    return _look(commands.Operations(which=query.which), query.worker)


def _of_model(name: str, kind: Callable[[str], Command], what: str) -> Callable[..., Any]:
    @bp.post(f"/engines/<model>/{name}", endpoint=name)
    @bp.input(WorkerQuery, location="query", arg_name="query")
    @bp.output(AnswersOut)
    @bp.doc(summary=what, operation_id=f"admin_{name}")
    @problems(*_REFUSALS)
    @access(session=False, scope="admin")
    def command(model: str, query: WorkerQuery) -> dict[str, Any]:
        return _do(kind(model), query.worker)

    return command


_of_model("load", commands.Load, "Load a model's engine when that takes nothing from those who wait")
_of_model("unload", commands.Unload, "Unload a model's engine once the battles it serves have ended")
_of_model("wake", commands.Wake, "Wake a sleeping engine; it is verified before it answers")
_of_model("pin", commands.Pin, "Keep a model's engine in memory, loading it if need be")
_of_model("unpin", commands.Unpin, "Let a pinned engine be evicted again")


@bp.post("/engines/<model>/sleep")
@bp.input(SleepIn, arg_name="body")
@bp.input(WorkerQuery, location="query", arg_name="query")
@bp.output(AnswersOut)
@problems(*_REFUSALS)
@access(session=False, scope="admin")
def sleep(model: str, body: SleepIn, query: WorkerQuery) -> dict[str, Any]:
    """Put an engine to sleep once its battles have ended: l1 keeps its weights in host memory, l2 drops them."""
    return _do(commands.Sleep(model, body.tier), query.worker)


def _of_worker(name: str, command: Command, what: str) -> Callable[..., Any]:
    @bp.post(f"/{name}", endpoint=name)
    @bp.input(WorkerQuery, location="query", arg_name="query")
    @bp.output(AnswersOut)
    @bp.doc(summary=what, operation_id=f"admin_{name}")
    @problems(*_REFUSALS)
    @access(session=False, scope="admin")
    def carry_out(query: WorkerQuery) -> dict[str, Any]:
        return _do(command, query.worker)

    return carry_out


_of_worker("drain", commands.Drain(), "Take no new battles and let those queued and running end")
_of_worker("resume", commands.Resume(), "Take battles again after drain")
_of_worker("reload_catalog", commands.ReloadCatalog(), "Read the catalog file again")


@bp.post("/set_capacity")
@bp.input(CapacityIn, arg_name="body")
@bp.input(WorkerQuery, location="query", arg_name="query")
@bp.output(AnswersOut)
@problems(*_REFUSALS)
@access(session=False, scope="admin")
def set_capacity(body: CapacityIn, query: WorkerQuery) -> dict[str, Any]:
    """Set how many engines may be in memory at once; with 1 a battle's sides are answered in turn."""
    return _do(commands.SetCapacity(body.capacity), query.worker)
