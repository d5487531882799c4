from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from tests.web.helpers import MODELS, queued, side, types
from web.context import Arena
from web.models import Battle, Vote
from web.security import COOKIE

Begin = Callable[..., str]
Finish = Callable[..., Any]


def votes(arena: Arena) -> list[Vote]:
    return arena.db.read(lambda s: list(s.scalars(select(Vote))))


@pytest.fixture
def battle(begin: Begin, finish: Finish) -> str:
    """Finished, not voted."""
    made = begin()
    finish(made)
    return made


@pytest.mark.parametrize("winner", ["a", "b", "tie", "both_bad"])
def test_a_vote_is_answered_with_both_names(client: FlaskClient, battle: str, arena: Arena, winner: str) -> None:
    reply = client.post(f"/api/battles/{battle}/vote", json={"winner": winner})
    assert reply.status_code == 201
    body = reply.get_json()
    (stored,) = votes(arena)
    assert body["winner"] == stored.winner == winner
    assert (body["models"]["a"]["id"], body["models"]["b"]["id"]) == (stored.model_a, stored.model_b)
    assert {stored.model_a, stored.model_b} < set(MODELS)
    assert (stored.counted, stored.reasons) == (True, [])


def test_the_reveal_tells_this_battles_figures(client: FlaskClient, battle: str) -> None:
    facts = client.post(f"/api/battles/{battle}/vote", json={"winner": "a"}).get_json()["models"]["a"]
    assert (facts["completion_tokens"], facts["first_token_s"], facts["tokens_per_s"]) == (11, 0.2, 10.0)
    assert facts["licence"] == "Apache-2.0"


def test_followers_and_the_records_worker_learn_of_a_vote(
    client: FlaskClient, battle: str, redis_client: redis.Redis
) -> None:
    client.post(f"/api/battles/{battle}/vote", json={"winner": "b"})
    assert types(redis_client, battle)[-2:] == ["battle.voted", "battle.revealed"]
    assert [m["headers"]["task"] for m in queued(redis_client, "records")] == ["records.refresh_ratings"]


def test_after_the_vote_the_battle_shows_its_names(client: FlaskClient, battle: str) -> None:
    voted = client.post(f"/api/battles/{battle}/vote", json={"winner": "tie"}).get_json()
    shown = client.get(f"/api/battles/{battle}").get_json()
    assert (shown["winner"], shown["models"], shown["votable"]) == ("tie", voted["models"], False)


def test_a_second_vote_is_refused_with_the_one_that_stands(client: FlaskClient, battle: str, arena: Arena) -> None:
    first = client.post(f"/api/battles/{battle}/vote", json={"winner": "a"}).get_json()
    reply = client.post(f"/api/battles/{battle}/vote", json={"winner": "b"})
    body = reply.get_json(force=True)
    assert (reply.status_code, body["code"], body["winner"]) == (409, "already_voted", "a")
    assert body["models"] == first["models"]
    assert [v.winner for v in votes(arena)] == ["a"]


def test_repeating_a_request_with_its_key_repeats_the_answer(client: FlaskClient, battle: str, arena: Arena) -> None:
    def vote(winner: str, key: str) -> Any:
        return client.post(f"/api/battles/{battle}/vote", json={"winner": winner}, headers={"Idempotency-Key": key})

    first, again = vote("a", "k1"), vote("a", "k1")
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.get_json() == again.get_json()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (vote("b", "k1").status_code, vote("a", "k2").status_code) == (422, 409)
    assert len(votes(arena)) == 1


@pytest.mark.parametrize("key", ["", "x" * 65])
def test_an_unusable_idempotency_key_is_refused(client: FlaskClient, battle: str, key: str) -> None:
    reply = client.post(f"/api/battles/{battle}/vote", json={"winner": "a"}, headers={"Idempotency-Key": key})
    assert (reply.status_code, reply.get_json(force=True)["code"]) == (422, "bad_idempotency_key")


@pytest.mark.parametrize(
    "outcome",
    [
        {"a": side("", "stop")},
        {"b": side("half", "cancelled"), "cancelled_by": "user"},
        {"a": side("", "cancelled"), "b": side("", "cancelled"), "cancelled_by": "operator"},
    ],
)
def test_a_battle_that_did_not_end_well_cannot_be_voted(
    begin: Begin, finish: Finish, client: FlaskClient, arena: Arena, outcome: Any
) -> None:
    battle = begin()
    finish(battle, **outcome)
    reply = client.post(f"/api/battles/{battle}/vote", json={"winner": "a"})
    assert (reply.status_code, reply.get_json(force=True)["code"]) == (409, "not_votable")
    assert votes(arena) == []
    assert not [m for m in MODELS if m in reply.text]


def test_a_vote_before_the_end_is_refused(begin: Begin, client: FlaskClient, records: Any) -> None:
    battle = begin()
    for _ in range(2):
        reply = client.post(f"/api/battles/{battle}/vote", json={"winner": "a"})
        assert (reply.status_code, reply.get_json(force=True)["code"]) == (409, "not_votable")
        records.started(battle, 1, 1)


@pytest.mark.parametrize("body", [{}, {"winner": "c"}, {"winner": None}, {"winner": 1}, {"winner": "a", "counted": 1}])
def test_a_vote_of_the_wrong_form_is_refused(client: FlaskClient, battle: str, arena: Arena, body: Any) -> None:
    reply = client.post(f"/api/battles/{battle}/vote", json=body)
    assert (reply.status_code, reply.get_json(force=True)["code"]) == (422, "invalid_body")
    assert votes(arena) == []


def test_a_stranger_cannot_vote(app: Flask, battle: str, arena: Arena) -> None:
    stranger = app.test_client()
    assert stranger.post(f"/api/battles/{battle}/vote", json={"winner": "a"}).status_code == 404
    assert votes(arena) == []


def test_a_vote_counts_although_nobody_can_be_told(
    client: FlaskClient, battle: str, arena: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    from web.queue import Queue, QueueError
    from worker.contract import channel

    def away(*_: object, **__: object) -> None:
        raise redis.ConnectionError("away")

    def no_broker(self: Queue) -> None:
        raise QueueError("away")

    monkeypatch.setattr(channel, "publish", away)
    monkeypatch.setattr(Queue, "refresh_ratings", no_broker)
    assert client.post(f"/api/battles/{battle}/vote", json={"winner": "a"}).status_code == 201
    assert client.get(f"/api/battles/{battle}").get_json()["winner"] == "a"


def test_of_200_votes_at_once_exactly_one_counts(app: Flask, client: FlaskClient, battle: str, arena: Arena) -> None:
    cookie = client.get_cookie(COOKIE)
    assert cookie is not None

    def vote(n: int) -> tuple[int, str]:
        with app.test_client() as mine:
            mine.set_cookie(COOKIE, cookie.value)
            reply = mine.post(f"/api/battles/{battle}/vote", json={"winner": "ab"[n % 2]})
            return reply.status_code, reply.get_json(force=True)["winner"]

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(vote, range(200)))
    codes = [status for status, _ in answers]
    assert (codes.count(201), codes.count(409)) == (1, 199)
    (stored,) = votes(arena)
    assert {winner for _, winner in answers} == {stored.winner}


def test_a_vote_and_its_battle_agree(client: FlaskClient, battle: str, arena: Arena) -> None:
    client.post(f"/api/battles/{battle}/vote", json={"winner": "a"})
    voted = arena.db.read(
        lambda s: s.scalar(select(func.count()).select_from(Battle).where(Battle.voted_at.is_not(None)))
    )
    assert voted == len(votes(arena)) == 1
