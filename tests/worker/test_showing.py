"""When text reaches the page: a side's first at once, all later text with the tick."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import redis

from tests.worker.conftest import spec
from tests.worker.stage import BATTLE, Theatre, job, on_stage
from worker.contract import channel
from worker.contract import events as ev
from worker.contract.catalog import Catalog
from worker.settings import WorkerSettings

NEVER_MS = 3_600_000
"""A tick that no test lives to see."""


@pytest.mark.parametrize("pace", [True, False])
def test_a_sides_first_text_does_not_wait_for_the_tick(redis_url: str, redis_client: redis.Redis, pace: bool) -> None:
    channel.publish(redis_client, BATTLE, [ev.TurnStarted(1, "why?")])

    def stage() -> Theatre:
        theatre = Theatre(redis_url, Catalog((spec("ant"), spec("bee"))))
        theatre.settings = WorkerSettings(flush_ms=NEVER_MS, pace=pace, pace_cap_s=NEVER_MS)
        return theatre

    async def body(stage: Any) -> None:
        running = asyncio.create_task(stage.run(job("ant", "bee")))
        await stage.cast.until_asked("ant")
        await stage.cast.until_asked("bee")
        stage.cast.say("ant", "first ")
        await (stage.redis.ping() if pace else stage.told(ev.SideDelta))  # it has been seen, held or shown
        stage.cast.say("bee", "second")
        await stage.told(ev.SideDelta, count=2)
        running.cancel()
        await asyncio.wait({running})

    on_stage(stage, body)
