from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from sqlalchemy import select

from tests.web.helpers import queued, result, side, stream, types
from web.context import Arena
from web.models import Answer, Battle, RatingSnapshot, Words
from web.records.service import Records
from web.settings import WebSettings
from worker.contract import channel
from worker.contract.events import BattleRestarted, Failure
from worker.contract.jobs import task_id

Begin = Callable[..., str]


def stored(arena: Arena, battle: str) -> Battle:
    found = arena.db.read(lambda s: s.get(Battle, battle))
    assert found is not None
    return found


def answers(arena: Arena, battle: str) -> dict[str, Answer]:
    rows = arena.db.read(lambda s: list(s.scalars(select(Answer).where(Answer.battle_id == battle))))
    return {row.side: row for row in rows}


def words(arena: Arena, battle: str) -> dict[str, str]:
    rows = arena.db.read(lambda s: list(s.scalars(select(Words).where(Words.battle_id == battle))))
    return {row.part: row.content for row in rows}


def test_a_start_is_noted_once_per_attempt(begin: Begin, records: Records, arena: Arena) -> None:
    battle = begin()
    records.started(battle, 1, 1)
    first = stored(arena, battle)
    records.started(battle, 1, 2)
    second = stored(arena, battle)
    records.started(battle, 1, 1)
    assert (first.state, first.attempt, second.attempt, stored(arena, battle).attempt) == ("running", 1, 2, 2)
    assert first.started_at == second.started_at


def test_a_result_is_stored_with_all_the_ranking_needs(begin: Begin, records: Records, arena: Arena) -> None:
    battle = begin()
    records.finished(result(battle, a=side("# Title\n- **one**\n- two"), b=side("Plain.", "length")))
    row = stored(arena, battle)
    assert (row.state, row.votable, row.attempt) == ("finished", True, 1)
    assert row.started_at is not None
    assert row.finished_at is not None
    a, b = answers(arena, battle)["a"], answers(arena, battle)["b"]
    assert (a.model, b.model) == (row.model_a, row.model_b)
    assert (a.style["headers"], a.style["list_items"], a.style["bold"]) == (1, 2, 1)
    assert (b.finish_reason, b.completion_tokens, b.first_token_s) == ("length", 11, 0.2)
    assert words(arena, battle) == {
        "prompt": "Why is the sky blue?",
        "a": "# Title\n- **one**\n- two",
        "b": "Plain.",
    }


@pytest.mark.parametrize(
    ("fields", "state", "told"),
    [
        ({}, "finished", "battle.votable"),
        ({"a": side("x", "length")}, "finished", "battle.votable"),
        ({"a": side(" \n")}, "failed", "battle.failed"),
        ({"b": side("", "failed", error=Failure("engine_failed", "It broke."))}, "failed", "battle.failed"),
        ({"a": side("x", "cancelled"), "cancelled_by": "user"}, "cancelled", "battle.cancelled"),
        ({"a": side("x", "cancelled")}, "cancelled", "battle.cancelled"),
    ],
)
def test_an_end_is_stored_and_told(
    begin: Begin, records: Records, arena: Arena, redis_client: redis.Redis, fields: Any, state: str, told: str
) -> None:
    battle = begin()
    records.finished(result(battle, **fields))
    row = stored(arena, battle)
    assert (row.state, row.votable) == (state, state == "finished")
    assert types(redis_client, battle) == ["turn.started", told]
    assert (row.error is not None) is (state == "failed")
    assert (row.cancelled_by is not None) is (state == "cancelled")


def test_a_result_that_comes_twice_is_stored_and_told_once(
    begin: Begin, records: Records, arena: Arena, redis_client: redis.Redis
) -> None:
    battle = begin()
    records.finished(result(battle))
    finished_at = stored(arena, battle).finished_at
    records.finished(result(battle))
    assert stored(arena, battle).finished_at == finished_at
    assert types(redis_client, battle) == ["turn.started", "battle.votable"]


def test_a_result_whose_telling_was_cut_off_is_told_the_second_time(
    begin: Begin, records: Records, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise redis.ConnectionError("away")

    battle = begin()
    with monkeypatch.context() as patch:
        patch.setattr(channel, "publish", away)
        with pytest.raises(redis.ConnectionError):
            records.finished(result(battle))
    records.finished(result(battle))
    assert types(redis_client, battle) == ["turn.started", "battle.votable"]


def test_an_older_attempts_result_is_ignored(
    begin: Begin, records: Records, arena: Arena, redis_client: redis.Redis
) -> None:
    battle = begin()
    records.started(battle, 1, 2)
    records.finished(result(battle, attempt=1, a=side("stale")))
    assert (stored(arena, battle).state, answers(arena, battle)) == ("running", {})
    channel.publish(redis_client, battle, [BattleRestarted(2)], 2)
    records.finished(result(battle, attempt=2))
    assert stored(arena, battle).state == "finished"
    assert types(redis_client, battle)[-1] == "battle.votable"


def test_what_web_cancelled_stays_cancelled(
    begin: Begin, client: FlaskClient, records: Records, arena: Arena, redis_client: redis.Redis
) -> None:
    battle = begin()
    client.post(f"/api/battles/{battle}/cancel")
    records.started(battle, 1, 1)
    records.finished(result(battle))
    records.failed(task_id(battle, 1))
    assert (stored(arena, battle).state, stored(arena, battle).votable) == ("cancelled", False)
    assert types(redis_client, battle) == ["turn.started", "battle.cancelled"]


def test_a_job_that_blew_up_fails_its_battle_once(
    begin: Begin, records: Records, arena: Arena, redis_client: redis.Redis
) -> None:
    battle = begin()
    records.failed(task_id(battle, 1))
    records.failed(task_id(battle, 1))
    error = stored(arena, battle).error
    assert error is not None
    assert (stored(arena, battle).state, error["code"]) == ("failed", "internal")
    assert types(redis_client, battle) == ["turn.started", "battle.failed"]


def test_a_late_failure_leaves_a_finished_battle_alone(begin: Begin, records: Records, arena: Arena) -> None:
    battle = begin()
    records.finished(result(battle))
    records.failed(task_id(battle, 1))
    assert stored(arena, battle).state == "finished"


def test_battles_nobody_knows_are_dropped(records: Records, redis_client: redis.Redis) -> None:
    records.started("A" * 22, 1, 1)
    records.finished(result("A" * 22))
    records.failed("A" * 22 + ".1")
    assert types(redis_client, "A" * 22) == []


def test_nul_characters_of_a_model_are_left_out(begin: Begin, records: Records, arena: Arena) -> None:
    battle = begin()
    records.finished(result(battle, a=side("a\x00b")))
    assert words(arena, battle)["a"] == "ab"


def vote(client: FlaskClient, begin: Begin, finish: Callable[..., Any], winner: str, prompt: str = "Why?") -> None:
    battle = begin(prompt)
    finish(battle)
    assert client.post(f"/api/battles/{battle}/vote", json={"winner": winner}).status_code == 201


def test_a_vote_moves_the_board(
    begin: Begin, finish: Callable[..., Any], client: FlaskClient, records: Records, arena: Arena
) -> None:
    vote(client, begin, finish, "a")
    assert records.refresh_ratings() is True
    body = client.get("/api/leaderboard").get_json()
    first, second = body["models"]
    assert (first["rank"], second["rank"], first["votes"], first["win_rate"]) == (1, 2, 1, 1.0)
    assert first["lower"] < first["rating"] < first["upper"]
    assert first["rating"] > 1000 > second["rating"]
    assert first["preliminary"] is True
    assert first["name"] == arena.catalog.get(first["model"]).name  # type: ignore[union-attr]
    assert body["updated_at"]


def test_the_board_is_fitted_anew_only_when_votes_changed(
    begin: Begin, finish: Callable[..., Any], client: FlaskClient, records: Records, arena: Arena
) -> None:
    assert records.refresh_ratings() is False
    vote(client, begin, finish, "tie")
    assert [records.refresh_ratings() for _ in range(3)] == [True, False, False]
    assert len(arena.db.read(lambda s: list(s.scalars(select(RatingSnapshot))))) == 1


class TestAFloodOfVotes:
    @pytest.fixture
    def settings(self, settings: WebSettings) -> WebSettings:
        return settings.model_copy(update={"rating_pause_s": 30})

    def test_shares_one_later_refresh(
        self,
        begin: Begin,
        finish: Callable[..., Any],
        client: FlaskClient,
        records: Records,
        redis_client: redis.Redis,
    ) -> None:
        vote(client, begin, finish, "a")
        assert records.refresh_ratings() is True
        redis_client.delete("records")
        for prompt, winner in (("Who?", "b"), ("When?", "tie"), ("How?", "a")):
            vote(client, begin, finish, winner, prompt)
            assert records.refresh_ratings() is False
        later = [m for m in queued(redis_client, "records") if m["headers"]["eta"]]
        assert len(later) == 1
        redis_client.delete("arena:ratings:cooldown")
        assert records.refresh_ratings(deferred=True) is True
        assert sum(row["votes"] for row in client.get("/api/leaderboard").get_json()["models"]) == 8


def test_streaming_and_storing_agree(
    begin: Begin, records: Records, client: FlaskClient, redis_client: redis.Redis
) -> None:
    battle = begin()
    outcome = result(battle, a=side("one two three "))
    stream(redis_client, outcome)
    live = client.get(f"/api/battles/{battle}").get_json()["turns"][0]["a"]["text"]
    assert live.strip() == outcome.sides.a.text.strip()
