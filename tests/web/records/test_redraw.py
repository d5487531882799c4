"""A pair that could not be started gives way to another one, unseen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from sqlalchemy import select

from tests.web.helpers import MODELS, job, queued, report_worker, result, types
from web.arena.sampling import ledger
from web.context import Arena
from web.models import Answer, Battle, Turn
from web.records.redraw import never_began
from web.records.service import Records
from worker.contract import channel
from worker.contract.events import Failure, SideDelta, SideStarted
from worker.contract.jobs import BattleResult, SideResult

Begin = Callable[..., str]
LOAD = Failure("load_failed", "A model of this pair could not be started. Start a new battle.")


def dead(error: Failure = LOAD, text: str = "") -> SideResult:
    return SideResult(text, "failed", error=error)


def never(battle: str, attempt: int = 1, retry: int = 0, **fields: Any) -> BattleResult:
    found: BattleResult = result(battle, attempt, dead(), dead(), retry=retry, **fields)
    return found


def stored(arena: Arena, battle: str) -> Battle:
    return arena.db.read(lambda s: s.get_one(Battle, battle))


def test_another_pair_is_put_in_line_with_its_own_probability(
    begin: Begin, records: Records, arena: Arena, redis_client: redis.Redis
) -> None:
    battle = begin("Why?")
    before = stored(arena, battle)
    records.finished(never(battle))
    after = stored(arena, battle)
    assert after.state == "queued"
    assert {after.model_a, after.model_b} == set(MODELS) - {before.model_a, before.model_b}
    assert after.probability == pytest.approx(1), "no other pair is left"
    assert after.policy_version == before.policy_version
    sent = job(redis_client)
    assert (sent.battle_id, sent.retry, sent.before) == (battle, 1, 1)
    assert (sent.sides.a.model, sent.sides.b.model) == (after.model_a, after.model_b)
    assert sent.sides.a.messages[-1].content == "Why?"
    assert types(redis_client, battle) == ["turn.started", "turn.retried"]


def test_only_the_model_that_the_workers_say_has_failed_is_out(
    begin: Begin, records: Records, arena: Arena, redis_client: redis.Redis
) -> None:
    battle = begin()
    out = stored(arena, battle).model_a
    report_worker(redis_client, failed={out: "load"})
    records.finished(never(battle))
    after = stored(arena, battle)
    assert out not in (after.model_a, after.model_b)
    assert 0 < after.probability < 1, "three models are left"


def test_the_battle_goes_on_to_its_vote(begin: Begin, records: Records, arena: Arena) -> None:
    battle = begin()
    records.finished(never(battle))
    records.finished(result(battle, attempt=2, retry=1))
    after = stored(arena, battle)
    assert (after.state, after.votable) == ("finished", True)
    answers = arena.db.read(lambda s: {a.side: a.model for a in s.scalars(select(Answer))})
    assert answers == {"a": after.model_a, "b": after.model_b}


def test_the_same_result_told_twice_redraws_once(
    begin: Begin, records: Records, arena: Arena, redis_client: redis.Redis
) -> None:
    battle = begin()
    records.finished(never(battle))
    again, waiting = stored(arena, battle), len(queued(redis_client))
    records.finished(never(battle))
    assert (stored(arena, battle).model_a, stored(arena, battle).state) == (again.model_a, "queued")
    assert len(queued(redis_client)) == waiting


def test_a_battle_is_redrawn_so_often_and_then_fails(begin: Begin, records: Records, arena: Arena) -> None:
    battle = begin()
    for retry in range(arena.settings.sampling_redraws):
        records.finished(never(battle, attempt=retry + 1, retry=retry))
        assert stored(arena, battle).state == "queued"
    last = arena.settings.sampling_redraws
    records.finished(never(battle, attempt=last + 1, retry=last))
    after = stored(arena, battle)
    assert after.state == "failed"
    assert after.error is not None
    assert after.error["code"] == "load_failed"


def test_without_another_pair_the_battle_fails(
    begin: Begin, records: Records, arena: Arena, redis_client: redis.Redis
) -> None:
    battle = begin()
    row = stored(arena, battle)
    report_worker(redis_client, models=(row.model_a, row.model_b))
    records.finished(never(battle))
    assert stored(arena, battle).state == "failed"


def test_what_its_asker_chose_is_not_redrawn(begin: Begin, records: Records, arena: Arena) -> None:
    battle = begin()

    def choose(session: Any) -> None:
        session.get_one(Battle, battle).ranked = False

    arena.db.write(choose)
    records.finished(never(battle))
    assert stored(arena, battle).state == "failed"


@pytest.mark.parametrize(
    "ended",
    [
        {"a": dead(text="Some"), "b": dead()},
        {"a": dead(Failure("context_overflow", "Too long.")), "b": dead(Failure("context_overflow", "Too long."))},
        {"a": dead(Failure("overloaded", "Later.")), "b": dead(Failure("overloaded", "Later."))},
        {"a": dead(), "b": dead(), "cancelled_by": "user"},
        {},
    ],
)
def test_what_was_shown_or_is_no_models_fault_ends_as_it_ended(ended: dict[str, Any]) -> None:
    assert not never_began(result("x", **ended))


def test_a_later_turn_keeps_its_pair(begin: Begin, records: Records, arena: Arena) -> None:
    battle = begin()
    records.finished(result(battle))

    def ask(session: Any) -> None:
        session.add(Turn(battle_id=battle, turn=2, prompt_chars=1, before=1))
        row = session.get_one(Battle, battle)
        row.turns, row.state = 2, "queued"

    arena.db.write(ask)
    row = stored(arena, battle)
    records.finished(never(battle, attempt=2, turn=2))
    after = stored(arena, battle)
    assert (after.state, after.model_a, after.model_b) == ("failed", row.model_a, row.model_b)


def test_failures_are_noted_until_the_model_answers(
    begin: Begin, records: Records, arena: Arena, redis_client: redis.Redis
) -> None:
    battle = begin()
    first = stored(arena, battle)
    records.finished(never(battle))
    failures = ledger.read(redis_client, drawn=True).failures
    assert {m: f.count for m, f in failures.items()} == {first.model_a: 1, first.model_b: 1}
    records.finished(result(battle, attempt=2, retry=1))
    assert set(ledger.read(redis_client, drawn=True).failures) == {first.model_a, first.model_b}
    for other in (begin() for _ in range(30)):
        row = stored(arena, other)
        records.finished(result(other))
        if row.model_a in failures:
            assert row.model_a not in ledger.read(redis_client, drawn=True).failures
            break
    else:
        pytest.fail("the pair was never drawn again")


def test_the_round_counts_the_pair_that_met(
    begin: Begin, records: Records, arena: Arena, redis_client: redis.Redis
) -> None:
    battle = begin()
    records.finished(never(battle))
    row = stored(arena, battle)
    drawn = {k: n for k, n in ledger.read(redis_client, drawn=True).drawn.items() if n}
    assert drawn == {"|".join(sorted((row.model_a, row.model_b))): 1}


def end(battle: str, attempt: int, retry: int) -> BattleResult:
    """Both sides broke off after a word."""
    broken = Failure("engine_failed", "A model stopped answering.", retryable=True)
    found: BattleResult = result(battle, attempt, dead(broken, text="Some"), dead(broken, text="words"), retry=retry)
    return found


def test_a_redraw_takes_none_of_the_retries_its_asker_has(
    begin: Begin, records: Records, arena: Arena, client: FlaskClient
) -> None:
    battle = begin()
    records.finished(never(battle))
    for n in range(arena.settings.max_retries):
        records.finished(end(battle, attempt=n + 2, retry=n + 1))
        assert client.post(f"/api/battles/{battle}/retry", json={}).status_code == 202, n
    records.finished(end(battle, attempt=arena.settings.max_retries + 2, retry=arena.settings.max_retries + 1))
    reply = client.post(f"/api/battles/{battle}/retry", json={})
    assert (reply.status_code, reply.get_json(force=True)["code"]) == (409, "retry_limit")


def test_a_pair_that_its_asker_tried_again_stays(
    begin: Begin, records: Records, arena: Arena, client: FlaskClient
) -> None:
    battle = begin()
    records.finished(end(battle, attempt=1, retry=0))
    row = stored(arena, battle)
    assert client.post(f"/api/battles/{battle}/retry", json={}).status_code == 202
    records.finished(never(battle, attempt=2, retry=1))
    after = stored(arena, battle)
    assert (after.state, after.model_a, after.model_b) == ("failed", row.model_a, row.model_b)


def test_a_pair_of_which_a_word_was_read_stays(
    begin: Begin, records: Records, arena: Arena, redis_client: redis.Redis
) -> None:
    battle = begin()
    row = stored(arena, battle)
    channel.publish(redis_client, battle, [SideStarted("a"), SideDelta("a", "So")], 1)
    records.finished(never(battle, attempt=2))
    after = stored(arena, battle)
    assert (after.state, after.model_a, after.model_b) == ("failed", row.model_a, row.model_b)
