"""An operator before a real runtime whose engines load when told to; only Celery's consumer is a stand-in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from celery import Celery
from celery.worker.control import Panel

import worker.control
from tests.processes import wait_for
from tests.worker.conftest import Hand
from worker.contract.catalog import load_catalog
from worker.metrics import Metrics
from worker.models.fitting import plan_for
from worker.runtime import Runtime
from worker.settings import WorkerSettings

assert worker.control

ENTRY = """
[[models]]
id = "{id}"
name = "{id}"
maker = "nobody"
family = "{id}s"
licence = "MIT"
"""
VLLM = """engine = "vllm"
path = "nowhere/{id}"
weights_bytes = "200MiB"
kv_bytes = "100MiB"
kv_bytes_per_token = "1KiB"
"""
ECHO = 'engine = "echo"\n'
REMOTE = 'engine = "remote"\nremote = {{ base_url = "http://127.0.0.1:9/v1", model = "m" }}\n'
LORA = 'engine = "vllm"\nlora = {{ base = "ant", path = "nowhere/lora" }}\n'


def entry(model: str, kind: str = VLLM, more: str = "") -> str:
    """One entry of a catalog file."""
    return (ENTRY + kind).format(id=model) + more


CATALOG = "".join(entry(m) for m in ("ant", "bee", "cat", "dog"))


class Reading:
    """The queues that are read now."""

    def __init__(self, names: list[str]) -> None:
        self.names = names

    def consuming_from(self, queue: str) -> bool:
        return queue in self.names


class Consumer:
    """Where Celery would start and stop reading queues. ``held``: what was to be done soon waits for ``catch_up``."""

    def __init__(self) -> None:
        self.app = Celery(set_as_current=False)
        self.app.amqp.queues.select("battles")
        self.task_consumer: Reading | None = None
        self.connect()
        self.held: list[Callable[[], None]] | None = None

    def connect(self) -> None:
        """As Celery does: it reads what is selected."""
        self.task_consumer = Reading(list(self.app.amqp.queues.consume_from))

    def call_soon(self, work: Callable[..., None], *args: Any) -> None:
        if self.held is None:
            work(*args)
        else:
            self.held.append(partial(work, *args))

    def catch_up(self) -> None:
        """In an order that nobody promised."""
        held, self.held = self.held or [], None
        for work in reversed(held):
            work()

    @property
    def reading(self) -> list[str]:
        return [] if self.task_consumer is None else self.task_consumer.names

    def cancel_task_queue(self, queue: str) -> None:
        self.app.amqp.queues.deselect(queue)
        self.reading.remove(queue)

    def add_task_queue(self, queue: str) -> None:
        self.app.amqp.queues.select_add(queue)
        if queue not in self.reading:
            self.reading.append(queue)


@dataclass
class Operator:
    """Gives commands as Celery's main loop does, and waits for what becomes of them."""

    runtime: Runtime
    hand: Hand
    catalog: Path
    consumer: Consumer
    redis: redis.Redis
    metrics: Metrics
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def __call__(self, command: str, **arguments: Any) -> dict[str, Any]:
        state = SimpleNamespace(app=SimpleNamespace(arena=self.runtime), hostname="w@unit", consumer=self.consumer)
        answer: dict[str, Any] = Panel.data[command](state, **arguments)
        return answer

    def ended(self, answer: dict[str, Any]) -> dict[str, Any]:
        """The operation, once it has ended."""

        def look() -> dict[str, Any] | None:
            found: dict[str, Any] = self("operations", which=answer["operation"])["operations"][0]
            return found if found["state"] != "running" else None

        return wait_for(f"operation {answer}", look, 10)  # type: ignore[no-any-return]

    def engine(self, model: str) -> dict[str, Any]:
        found: dict[str, Any] = self("engines")["engines"][model]
        return found

    def until(self, model: str, state: str) -> dict[str, Any]:
        """The engine, once it is in that state."""
        wait_for(f"{model} to be {state}", lambda: self.engine(model)["state"] == state, 10)
        return self.engine(model)

    def settled(self) -> None:
        wait_for("the preload", lambda: self("engines")["accepting"], 10)

    def holds(self, job: str, *models: str, session: str = "") -> asyncio.Event:
        """A battle that leases ``models`` and gives them back when the event is set (on the runtime's loop)."""
        over = asyncio.Event()

        async def battle(_: Any) -> None:
            async with self.runtime.pool.lease(job, models, session):
                await over.wait()

        def begin() -> None:
            self.tasks.append(asyncio.ensure_future(battle(None)))

        self.runtime.on_loop(begin)
        return over

    def release(self, over: asyncio.Event) -> None:
        self.runtime.on_loop(over.set)


@pytest.fixture
def operator(
    tmp_path: Path, redis_url: str, redis_client: redis.Redis, hand: Hand, request: pytest.FixtureRequest
) -> Iterator[Operator]:
    """``ant`` and ``bee`` are ready, ``cat`` and ``dog`` cold; 1 GiB holds any two. Marks may give another catalog."""
    mark = request.node.get_closest_marker("parametrize")
    file = tmp_path / "catalog.toml"
    file.write_text(getattr(request, "param", CATALOG) if mark else CATALOG)
    settings = WorkerSettings(
        redis_url=redis_url,
        catalog=file,
        models_dir=tmp_path,
        sleep="on",
        gpu_memory="0",
        host_memory="2500MiB",
        preload=("ant", "bee"),
        metrics_address="",
    )
    catalog = load_catalog(file)
    fit = plan_for(catalog, tmp_path, capacity=2, gpu_memory="0", host_memory=settings.host_memory, sleep="on")
    metrics = Metrics(m.id for m in catalog.entries)
    runtime = Runtime(settings, catalog, fit, hand, lambda task, args: None, "w@unit", metrics)
    runtime.start()
    desk = Operator(runtime, hand, file, Consumer(), redis_client, metrics)
    try:
        yield desk
    finally:
        for task in desk.tasks:
            runtime.on_loop(task.cancel)
        runtime.stop()
