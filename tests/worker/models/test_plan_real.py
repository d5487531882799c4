"""The planner's estimate beside what a real engine holds."""

from __future__ import annotations

from tests.engines import real, with_engines
from tests.real import models_dir
from worker.engines.vllm import VllmEngine
from worker.models.facts import facts_of
from worker.models.memory import footprint

pytestmark = real


def test_a_real_engine_on_a_cpu_holds_no_more_than_was_planned_and_not_far_less() -> None:
    async def body(engine: VllmEngine) -> None:
        held = engine.held()
        assert held is not None
        kv = int(engine.spec.kv_bytes)
        planned = footprint(engine.spec, facts_of(engine.spec, models_dir()), on_gpu=False, kv_bytes=kv).resident
        assert held.device == 0
        assert planned.host / 3 < held.host <= planned.host

    with_engines(body)
