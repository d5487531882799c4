"""Texts go when they are old; what the ranking needs stays. Where none are stored, battles work all the same."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pydantic import ValidationError
from sqlalchemy import func, select, update

from tests.web import helpers
from web.context import Arena
from web.models import Answer, Batch, BatchItem, Battle, Turn, Vote, Words, now
from web.records.reconciler import LOST_S, Reconciler
from web.records.service import Records
from web.retention import AT_ONCE, Purged, due, last_night, purge, purge_if_due
from web.settings import WebSettings
from worker.contract import channel

CANARY = "canary-c4d9"
Begin = Callable[..., str]
Finish = Callable[..., Any]


def judged(client: FlaskClient, begin: Begin, finish: Finish) -> str:
    """A battle with the canary in every text of it."""
    reply = client.post("/api/battles", json={"prompt": f"why {CANARY}?", "sampling": {"stop": [CANARY], "seed": 7}})
    battle: str = reply.get_json()["id"]
    finish(battle, a=helpers.side(f"A {CANARY}"), b=helpers.side(f"B {CANARY}"))
    vote = {"winner": "a", "comment": f"because {CANARY}"}
    assert client.post(f"/api/battles/{battle}/vote", json=vote).status_code == 201
    return battle


def grow_old(arena: Arena, days: float) -> None:
    """Everything was written so long ago."""
    at = now() - timedelta(days=days)

    def work(session: Any) -> None:
        session.execute(update(Battle).values(created_at=at))
        session.execute(update(Turn).values(created_at=at, asked_at=at))
        session.execute(update(Vote).values(created_at=at))
        session.execute(update(Batch).values(created_at=at))

    arena.db.write(work)


def count(arena: Arena, kind: Any) -> int:
    return int(arena.db.read(lambda s: s.scalar(select(func.count()).select_from(kind))) or 0)


def stored_bytes(arena: Arena) -> bytes:
    """All that the database has on disk."""
    folder = arena.settings.data_dir
    return b"".join(file.read_bytes() for file in Path(folder).glob("arena.sqlite3*"))


@pytest.mark.usefixtures("worker")
class TestPurge:
    def test_old_texts_are_gone_from_the_disk_and_the_vote_stands(
        self, client: FlaskClient, begin: Begin, finish: Finish, arena: Arena, redis_client: Any
    ) -> None:
        battle = judged(client, begin, finish)
        before = arena.db.read(lambda s: s.scalar(select(Vote.id)))
        assert CANARY.encode() in stored_bytes(arena)
        grow_old(arena, 31)
        assert purge(arena, 30) == Purged(turns=1, comments=1)
        assert count(arena, Words) == 0
        assert (count(arena, Battle), count(arena, Turn), count(arena, Answer)) == (1, 1, 2)
        vote = arena.db.read(lambda s: s.scalars(select(Vote)).one())
        assert (vote.id, vote.winner, vote.comment, vote.counted) == (before, "a", None, True)
        assert arena.db.read(lambda s: s.get_one(Battle, battle)).sampling == {"seed": 7}
        assert CANARY.encode() not in stored_bytes(arena)
        assert not redis_client.exists(channel.log_key(battle), channel.meta_key(battle))

    def test_its_owner_still_sees_the_battle_without_its_texts(
        self, client: FlaskClient, begin: Begin, finish: Finish, arena: Arena
    ) -> None:
        battle = judged(client, begin, finish)
        grow_old(arena, 31)
        purge(arena, 30)
        shown = client.get(f"/api/battles/{battle}").get_json()
        assert (shown["state"], shown["winner"]) == ("finished", "a")
        assert [(t["prompt"], t["a"]["text"], t["b"]["text"]) for t in shown["turns"]] == [("", "", "")]
        listed = client.get("/api/battles")
        assert listed.status_code == 200
        assert CANARY not in listed.text

    def test_young_texts_and_unfinished_battles_are_left_alone(
        self, client: FlaskClient, begin: Begin, finish: Finish, arena: Arena
    ) -> None:
        running = begin()
        grow_old(arena, 31)
        judged(client, begin, finish)
        assert purge(arena, 30) == Purged()
        left = arena.db.read(lambda s: set(s.scalars(select(Words.battle_id))))
        assert len(left) == 2
        assert running in left

    def test_prompts_of_old_batches_go_and_so_do_many_rows_in_small_steps(self, arena: Arena) -> None:
        items = 2 * AT_ONCE + 7

        def work(session: Any) -> None:
            session.add(Batch(id="batch-1", owner="o" * 64, size=items))
            session.flush()
            session.add_all(BatchItem(batch_id="batch-1", number=n, prompt=CANARY) for n in range(items))

        arena.db.write(work)
        grow_old(arena, 2)
        assert purge(arena, 3) == Purged()
        assert purge(arena, 1) == Purged(prompts=items)
        assert CANARY.encode() not in stored_bytes(arena)

    def test_the_command_deletes_now_and_needs_to_know_how_old(
        self, app: Flask, client: FlaskClient, begin: Begin, finish: Finish, arena: Arena
    ) -> None:
        judged(client, begin, finish)
        grow_old(arena, 2)
        run = app.test_cli_runner()
        refused = run.invoke(args=["purge"])
        assert refused.exit_code == 1
        assert "ARENA_RETAIN_TEXT_DAYS" in refused.output
        done = run.invoke(args=["purge", "--days", "1"])
        assert (done.exit_code, done.output) == (0, "deleted: texts of 1 turns, 1 comments, 0 prompts of batches\n")


class TestNightly:
    @pytest.fixture
    def settings(self, settings: WebSettings) -> WebSettings:
        return settings.model_copy(update={"retain_text_days": 30, "purge_hour": 3})

    def test_the_last_night_is_the_hour_that_was_last(self) -> None:
        noon = datetime(2026, 5, 2, 12, tzinfo=UTC)
        assert last_night(noon, 3) == datetime(2026, 5, 2, 3, tzinfo=UTC)
        assert last_night(noon, 13) == datetime(2026, 5, 1, 13, tzinfo=UTC)
        assert last_night(noon, 12) == noon

    def test_it_happens_once_a_night_whoever_asks(self, arena: Arena) -> None:
        assert due(arena)
        assert purge_if_due(arena) == Purged()
        assert not due(arena)
        assert purge_if_due(arena) is None
        assert due(arena, now() + timedelta(days=1))

    def test_of_two_records_workers_one_does_it(self, arena: Arena, redis_client: Any) -> None:
        redis_client.set("arena:purge:leader", b"1")
        assert purge_if_due(arena) is None
        assert due(arena)


class TestNothingStored:
    @pytest.fixture
    def settings(self, settings: WebSettings) -> WebSettings:
        return settings.model_copy(update={"store_text": "never"})

    def test_no_text_reaches_the_database_and_the_battle_is_read_voted_and_ranked(
        self, client: FlaskClient, begin: Begin, finish: Finish, arena: Arena, records: Records
    ) -> None:
        battle = begin(f"why {CANARY}?")
        finish(battle, a=helpers.side(f"A {CANARY}"), b=helpers.side(f"B {CANARY}"))
        assert CANARY.encode() not in stored_bytes(arena)
        shown = client.get(f"/api/battles/{battle}").get_json()["turns"][0]
        assert (shown["prompt"], shown["a"]["text"].strip()) == (f"why {CANARY}?", f"A {CANARY}")
        reply = client.post(f"/api/battles/{battle}/vote", json={"winner": "b", "comment": CANARY})
        assert reply.status_code == 201
        assert records.refresh_ratings()
        assert CANARY.encode() not in stored_bytes(arena)
        assert count(arena, Answer) == 2

    def test_the_live_log_lasts_an_hour_and_after_the_vote_minutes(
        self, client: FlaskClient, begin: Begin, finish: Finish, redis_client: Any
    ) -> None:
        battle = begin()
        finish(battle)
        assert 3000 < redis_client.ttl(channel.log_key(battle)) <= 3600
        client.post(f"/api/battles/{battle}/vote", json={"winner": "tie"})
        assert 0 < redis_client.ttl(channel.log_key(battle)) <= 600

    def test_another_turn_is_told_the_earlier_one_as_long_as_the_log_lives(
        self, client: FlaskClient, begin: Begin, finish: Finish, redis_client: Any
    ) -> None:
        battle = begin("first prompt")
        finish(battle)
        reply = client.post(f"/api/battles/{battle}/turns", json={"prompt": "second prompt"})
        assert reply.status_code == 202, reply.text
        job = helpers.job(redis_client)
        assert [m.content.strip() for m in job.sides.a.messages] == ["first prompt", "Answer A.", "second prompt"]

    def test_once_the_log_is_gone_the_battle_is_shown_empty_and_ends_there(
        self, client: FlaskClient, begin: Begin, finish: Finish, redis_client: Any
    ) -> None:
        battle = begin()
        finish(battle)
        redis_client.delete(channel.log_key(battle), channel.meta_key(battle))
        shown = client.get(f"/api/battles/{battle}").get_json()
        assert (shown["state"], shown["turns"][0]["prompt"]) == ("finished", "")
        refused = client.post(f"/api/battles/{battle}/turns", json={"prompt": "more"})
        assert (refused.status_code, refused.get_json()["code"]) == (409, "texts_gone")

    def test_there_is_nothing_to_share_and_the_share_says_so(
        self, client: FlaskClient, begin: Begin, finish: Finish
    ) -> None:
        battle = begin()
        finish(battle)
        client.post(f"/api/battles/{battle}/vote", json={"winner": "a"})
        refused = client.post(f"/api/battles/{battle}/share")
        assert (refused.status_code, refused.get_json()["code"]) == (409, "texts_gone")

    def test_words_that_later_turns_would_need_are_not_taken(
        self, client: FlaskClient, arena: Arena, worker: None
    ) -> None:
        asked = {"prompt": "Why?", "sampling": {"stop": [CANARY], "seed": 7}}
        refused = client.post("/api/battles", json=asked)
        assert (refused.status_code, refused.get_json()["field"]) == (422, "sampling.stop")
        assert CANARY.encode() not in stored_bytes(arena)
        assert client.post("/api/battles", json={**asked, "sampling": {"seed": 7}}).status_code == 202

    def test_answers_of_v1_are_not_kept_either(self, settings: WebSettings) -> None:
        with pytest.raises(ValidationError, match="ARENA_V1_CACHE_S keeps answers"):
            WebSettings(store_text="never", v1_cache_s=60)

    def test_a_lost_job_is_sent_again_from_the_log_and_without_a_log_the_battle_fails(
        self, begin: Begin, arena: Arena, records: Records, redis_client: Any
    ) -> None:
        kept, lost = begin("kept prompt"), begin("lost prompt")
        redis_client.delete("battles", channel.log_key(lost), channel.meta_key(lost))
        arena.db.write(lambda s: s.execute(update(Battle).values(created_at=now() - timedelta(seconds=60))))
        arena.db.write(lambda s: s.execute(update(Turn).values(asked_at=now() - timedelta(seconds=60))))
        clock = iter((0.0, LOST_S + 1, LOST_S + 2))
        reconciler = Reconciler(arena, records, lambda: next(clock))
        reconciler.look()
        assert reconciler.look() == 2
        assert len(helpers.queued(redis_client)) == 1
        assert helpers.job(redis_client).sides.a.messages[-1].content == "kept prompt"
        states = arena.db.read(lambda s: {b.id: b.state for b in s.scalars(select(Battle))})
        assert states == {kept: "queued", lost: "failed"}
