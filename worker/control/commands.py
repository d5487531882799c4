"""``celery -A worker control ...``: what operators may ask. The first line of each docstring is the listed help."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast

from celery.worker.control import control_command

from worker.control.answers import Answer, commanded, counted, named, one_of, reasoned
from worker.control.reload import read_anew
from worker.errors import AdminError
from worker.memory import Tier
from worker.pool.desk import Desk
from worker.pool.operations import Operation
from worker.runtime import Runtime

_TIERS = ("l1", "l2")
_MODEL = {"args": [("model", str)], "signature": "<model>"}


def _of_model(state: Any, command: str, model: object, do: Callable[[Desk, str], Operation]) -> Answer:
    def run(runtime: Runtime) -> Operation:
        name = named(model, f"control {command} <model>")
        return runtime.on_loop(lambda: do(Desk(runtime.pool), name))

    return commanded(state, command, {"model": model}, run)


@control_command(**_MODEL)  # type: ignore[untyped-decorator]
def load(state: Any, model: object = "", **_: Any) -> Answer:
    """Load a model's engine; idle ones make room, waiting battles come first."""
    return _of_model(state, "load", model, Desk.load)


@control_command(**_MODEL)  # type: ignore[untyped-decorator]
def unload(state: Any, model: object = "", **_: Any) -> Answer:
    """Unload a model's engine once the battles it serves have ended."""
    return _of_model(state, "unload", model, Desk.unload)


@control_command(args=[("model", str), ("tier", str)], signature="<model> [l1|l2]")  # type: ignore[untyped-decorator]
def sleep(state: Any, model: object = "", tier: object = "l1", **_: Any) -> Answer:
    """Put an engine to sleep once its battles have ended: l1 keeps its weights in host memory, l2 drops them."""

    def run(runtime: Runtime) -> Operation:
        name = named(model, "control sleep <model> [l1|l2]")
        deep = cast(Tier, one_of(tier, _TIERS, "control sleep <model> [l1|l2]"))
        return runtime.on_loop(lambda: Desk(runtime.pool).sleep(name, deep))

    return commanded(state, "sleep", {"model": model, "tier": tier}, run)


@control_command(**_MODEL)  # type: ignore[untyped-decorator]
def wake(state: Any, model: object = "", **_: Any) -> Answer:
    """Wake a sleeping engine; it is verified before it answers."""
    return _of_model(state, "wake", model, Desk.wake)


@control_command(**_MODEL)  # type: ignore[untyped-decorator]
def pin(state: Any, model: object = "", **_: Any) -> Answer:
    """Keep a model's engine in memory, loading it if need be; until unpinned or the worker restarts."""
    return _of_model(state, "pin", model, Desk.pin)


@control_command(**_MODEL)  # type: ignore[untyped-decorator]
def unpin(state: Any, model: object = "", **_: Any) -> Answer:
    """Let a pinned engine be evicted again."""
    return _of_model(state, "unpin", model, Desk.unpin)


@control_command()  # type: ignore[untyped-decorator]
def drain(state: Any, **_: Any) -> Answer:
    """Take no new battles and let those queued and running here end; until resume or a restart."""
    consumer = state.consumer

    def run(runtime: Runtime) -> Operation:
        queues = tuple(consumer.app.amqp.queues.consume_from)
        operation = runtime.on_loop(lambda: runtime.drain.begin(queues))
        consumer.call_soon(_read_queues, consumer, runtime)
        return operation

    return commanded(state, "drain", {}, run)


@control_command()  # type: ignore[untyped-decorator]
def resume(state: Any, **_: Any) -> Answer:
    """Take battles again after drain."""
    consumer = state.consumer

    def run(runtime: Runtime) -> Operation:
        operation = runtime.on_loop(runtime.drain.undo)
        consumer.call_soon(_read_queues, consumer, runtime)
        return operation

    return commanded(state, "resume", {}, run)


def _read_queues(consumer: Any, runtime: Runtime) -> None:
    """On Celery's main loop, which may run what two commands left it in either order: so what counts is what is on."""
    queues = consumer.app.amqp.queues
    for queue in runtime.drain.queues:
        if consumer.task_consumer is None and runtime.drain.on:  # between two connections: the next reads what is left
            queues.deselect(queue)
        elif consumer.task_consumer is None:
            queues.select_add(queues[queue])
        elif not runtime.drain.on:
            consumer.add_task_queue(queue)
        elif consumer.task_consumer.consuming_from(queue):
            consumer.cancel_task_queue(queue)


@control_command(args=[("battle", str), ("reason", str)], signature="<battle id> [reason]")  # type: ignore[untyped-decorator]
def cancel(state: Any, battle: object = "", reason: object = "", **_: Any) -> Answer:
    """Cancel a battle or chat that waits or runs on this worker; its asker reads the reason."""

    def run(runtime: Runtime) -> Operation:
        name = named(battle, "control cancel <battle id> [reason]")
        return runtime.on_loop(partial(_cancel, runtime, name, reasoned(reason)))

    return commanded(state, "cancel", {"battle": battle, "reason": reason}, run)


def _cancel(runtime: Runtime, battle: str, reason: str) -> Operation:
    found = [r for r in list(runtime.running.values()) if r.subject == battle]
    if not found:
        raise AdminError(f"no battle {battle!r} waits or runs here; see: celery -A worker inspect battles")
    operation = runtime.pool.operations.begin("cancel", battle, f"{battle} is being cancelled")
    for running in found:
        running.done.add_done_callback(
            lambda _: runtime.pool.operations.end(operation.id, "done", f"{battle} has ended")
        )
    runtime.cancel(battle, "operator", reason)
    return operation


@control_command(args=[("capacity", str)], signature="<engines>")  # type: ignore[untyped-decorator]
def set_capacity(state: Any, capacity: object = "", **_: Any) -> Answer:
    """Set how many engines may be in memory at once; with 1 a battle's sides are answered in turn."""

    def run(runtime: Runtime) -> Operation:
        number = counted(capacity, "control set_capacity <engines>")
        return runtime.on_loop(lambda: Desk(runtime.pool).set_capacity(number))

    return commanded(state, "set_capacity", {"capacity": capacity}, run)


@control_command()  # type: ignore[untyped-decorator]
def reload_catalog(state: Any, **_: Any) -> Answer:
    """Read the catalog file again; engines whose entry changed or went leave once their battles have ended."""
    return commanded(state, "reload_catalog", {}, read_anew)
