"""The REST path once more on PostgreSQL: what SQLite's one writer at a time may have hidden."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from tests.postgres import postgres_url  # noqa: F401
from tests.web import helpers
from web.context import Arena
from web.migrate import upgrade
from web.models import Vote
from web.records.service import Records
from web.security import COOKIE
from web.settings import WebSettings

pytestmark = pytest.mark.postgres


@pytest.fixture
def settings(settings: WebSettings, postgres_url: str) -> WebSettings:  # noqa: F811
    upgrade(postgres_url)
    return settings.model_copy(update={"database_url": postgres_url})


def test_from_prompt_to_board(
    begin: Callable[..., str], finish: Callable[..., Any], client: FlaskClient, records: Records
) -> None:
    battle = begin("日本 🎌 'quotes\"")
    finish(battle, a=helpers.side("an\x00swer"))
    shown = client.get(f"/api/battles/{battle}").get_json()
    assert (shown["votable"], shown["turns"][0]["prompt"]) == (True, "日本 🎌 'quotes\"")
    assert client.post(f"/api/battles/{battle}/vote", json={"winner": "tie"}).status_code == 201
    assert records.refresh_ratings() is True
    assert [row["votes"] for row in client.get("/api/leaderboard").get_json()["models"]] == [1, 1]


def test_of_100_votes_at_once_exactly_one_counts(
    app: Flask, client: FlaskClient, begin: Callable[..., str], finish: Callable[..., Any], arena: Arena
) -> None:
    battle = begin()
    finish(battle)
    cookie = client.get_cookie(COOKIE)
    assert cookie is not None

    def vote(n: int) -> int:
        with app.test_client() as mine:
            mine.set_cookie(COOKIE, cookie.value)
            return mine.post(f"/api/battles/{battle}/vote", json={"winner": "ab"[n % 2]}).status_code

    with ThreadPoolExecutor(12) as pool:
        codes = list(pool.map(vote, range(100)))
    assert (codes.count(201), codes.count(409)) == (1, 99)
    assert len(arena.db.read(lambda s: list(s.scalars(select(Vote))))) == 1


def test_a_result_and_a_cancel_at_once_leave_one_outcome(
    begin: Callable[..., str], client: FlaskClient, records: Records, redis_client: redis.Redis
) -> None:
    for _ in range(8):
        battle = begin()
        with ThreadPoolExecutor(2) as pool:
            cancelled = pool.submit(client.post, f"/api/battles/{battle}/cancel")
            pool.submit(records.finished, helpers.result(battle)).result(10)
            cancelled.result(10)
        state = client.get(f"/api/battles/{battle}").get_json()["state"]
        told = helpers.types(redis_client, battle)[1:]
        assert (state, told) in [("finished", ["battle.votable"]), ("cancelled", ["battle.cancelled"])]


def test_of_turns_and_retries_at_once_exactly_one_begins(
    app: Flask, client: FlaskClient, begin: Callable[..., str], finish: Callable[..., Any]
) -> None:
    battle = begin()
    finish(battle)
    cookie = client.get_cookie(COOKIE)
    assert cookie is not None

    def go(n: int) -> int:
        with app.test_client() as mine:
            mine.set_cookie(COOKIE, cookie.value)
            path, body = ("turns", {"prompt": "And?"}) if n % 2 else ("retry", {})
            return mine.post(f"/api/battles/{battle}/{path}", json=body).status_code

    with ThreadPoolExecutor(12) as pool:
        codes = list(pool.map(go, range(24)))
    assert (codes.count(202), codes.count(409)) == (1, 23)


def test_a_vote_and_another_turn_at_once_do_not_both_happen(
    app: Flask, client: FlaskClient, begin: Callable[..., str], finish: Callable[..., Any]
) -> None:
    for _ in range(6):
        battle = begin()
        finish(battle)
        cookie = client.get_cookie(COOKIE)
        assert cookie is not None

        def post(path: str, body: Any, battle: str = battle, cookie: str = cookie.value) -> int:
            with app.test_client() as mine:
                mine.set_cookie(COOKIE, cookie)
                return mine.post(f"/api/battles/{battle}/{path}", json=body).status_code

        with ThreadPoolExecutor(2) as pool:
            vote = pool.submit(post, "vote", {"winner": "a"})
            turn = pool.submit(post, "turns", {"prompt": "And?"})
            assert sorted((vote.result(20), turn.result(20))) in ([201, 409], [202, 409])


def test_a_battle_of_two_turns_is_listed_shared_and_deleted(
    begin: Callable[..., str], finish: Callable[..., Any], client: FlaskClient
) -> None:
    first, second = begin("One?"), begin("Two?")
    finish(second)
    assert client.post(f"/api/battles/{second}/turns", json={"prompt": "And?"}).status_code == 202
    finish(second, attempt=2, turn=2)
    body = {"winner": "b", "why": {"b": ["useful"]}, "comment": "Good."}
    assert client.post(f"/api/battles/{second}/vote", json=body).status_code == 201
    page = client.get("/api/battles?limit=1").get_json()
    assert [b["id"] for b in page["battles"]] == [second]
    following = client.get("/api/battles", query_string={"cursor": page["next_cursor"]}).get_json()
    assert [b["id"] for b in following["battles"]] == [first]
    share = client.post(f"/api/battles/{second}/share").get_json()["share_id"]
    assert len(client.get(f"/api/shares/{share}").get_json()["turns"]) == 2
    assert client.delete(f"/api/battles/{second}").status_code == 204
    assert client.get(f"/api/battles/{second}").status_code == client.get(f"/api/shares/{share}").status_code == 404
