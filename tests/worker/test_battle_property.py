"""Whatever happens to a battle, in whatever order: it ends, it holds nothing afterwards, and its log tells no lies."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.worker.conftest import spec
from tests.worker.stage import Theatre, job, on_stage, told, view
from worker.contract import channel
from worker.contract import events as ev
from worker.contract.catalog import Catalog
from worker.contract.jobs import BattleResult
from worker.pool import moves

CATALOG = Catalog((spec("ant"), spec("bee"), spec("cat")))
BLOWS = ("say", "say both", "die", "end", "die silently", "preempt", "crowd", "uncrowd", "one", "two", "cancel")
Blow = tuple[str, str, bool]
"""What, to which model, and whether time passes until what was said could be seen."""


async def strike(stage: Theatre, blow: Blow) -> None:
    """One thing that can happen while a battle runs."""
    what, model, then_wait = blow
    actors = stage.cast.made.get(model, [])
    match what:
        case "die" | "die silently" if actors:
            actors[-1].die(silently=what == "die silently")
        case "say" | "end" if actors:
            stage.cast.say(model, "some words ", end=what == "end")
        case "say both":
            for other in stage.cast.made:
                stage.cast.say(other, "some words ")
        case "preempt":
            for lease in stage.pool._leases.values():
                lease.preempted.set()
        case "crowd":
            stage.pool.rules = replace(stage.pool.rules, queue_bound=0)
        case "uncrowd":
            stage.pool.rules = replace(stage.pool.rules, queue_bound=100)
        case "one" | "two":
            stage.pool.set_capacity(1 if what == "one" else 2)
        case "cancel":
            stage.stop.ask("user")
    for _ in range(10):
        await asyncio.sleep(0)
    if then_wait:
        await asyncio.sleep(0.02)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.sampled_from(BLOWS), st.sampled_from(("ant", "bee")), st.booleans()), max_size=15),
    st.sampled_from((1, 2)),
)
def test_a_battle_always_ends_and_leaves_nothing_behind(
    redis_url: str, redis_client: redis.Redis, blows: list[Blow], capacity: int
) -> None:
    battle = secrets.token_urlsafe(12)
    channel.publish(redis_client, battle, [ev.TurnStarted(1, "why?")])

    async def body(stage: Theatre) -> BattleResult:
        running = asyncio.create_task(stage.run(job("ant", "bee", battle=battle)))
        while not any(actors[-1].requests for actors in stage.cast.made.values()):
            await asyncio.sleep(0)
        for blow in blows:
            await strike(stage, blow)
        stage.pool.rules = replace(stage.pool.rules, queue_bound=100)
        stage.cast.speak_up()
        result = await running
        assert stage.leases == stage.pool.waiting == len(stage.pool.leased) == 0
        async with stage.pool.lease("after", ["ant"]), asyncio.timeout(5):
            pass
        return result

    def make() -> Theatre:
        return Theatre(redis_url, CATALOG, capacity)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(moves, "CRASH_BACKOFF_S", 0.001)
        patch.setattr(moves, "LONGEST_BACKOFF_S", 0.01)
        patch.setattr("worker.leased.LOOK_S", 0.01)
        result: BattleResult = on_stage(make, body)
    _agree(result, redis_client, battle)


def _agree(result: BattleResult, client: redis.Redis, battle: str) -> None:
    turn = view(client, battle).turns[0]
    for side in ev.SIDES:
        ended: Any = getattr(result.sides, side)
        seen: ev.SideView = getattr(turn, side)
        assert (seen.text, seen.finish_reason, seen.error) == (ended.text, ended.finish_reason, ended.error)
        assert seen.status in ("done", "failed")
        assert (ended.error is not None) == (ended.finish_reason == "failed")
    restarts = [e.attempt for e in told(client, battle) if isinstance(e, ev.BattleRestarted)]
    assert restarts == list(range(2, result.attempt + 1))
