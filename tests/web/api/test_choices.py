"""What an asker may choose: sampling, the pair, and what they say beside their vote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from sqlalchemy import select

from tests.web.helpers import MODELS, job, report_worker
from web.context import Arena
from web.models import Battle, Vote
from worker.contract.jobs import Sampling

Begin = Callable[..., str]
Finish = Callable[..., Any]


def begun(client: FlaskClient, **body: Any) -> Any:
    return client.post("/api/battles", json={"prompt": "Why?", **body})


def code(reply: Any) -> tuple[int, str]:
    return reply.status_code, reply.get_json(force=True)["code"]


def the_vote(arena: Arena) -> Vote:
    return arena.db.read(lambda s: s.scalars(select(Vote)).one())


# ── sampling ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_was_chosen_goes_to_both_sides_and_to_every_later_turn(
    client: FlaskClient, worker: None, arena: Arena, finish: Finish, redis_client: redis.Redis
) -> None:
    chosen = {"temperature": 0.5, "top_p": 1, "max_tokens": 64, "seed": 7, "stop": ["\n\n"]}
    battle = begun(client, sampling=chosen).get_json()["id"]
    assert arena.db.read(lambda s: s.get_one(Battle, battle)).sampling == chosen
    expected = Sampling(max_tokens=64, temperature=0.5, top_p=1.0, seed=7, stop=("\n\n",))
    assert job(redis_client).sides.a.sampling == job(redis_client).sides.b.sampling == expected
    finish(battle)
    client.post(f"/api/battles/{battle}/turns", json={"prompt": "And?"})
    assert job(redis_client).turn == 2
    assert job(redis_client).sides.a.sampling == job(redis_client).sides.b.sampling == expected


def test_without_a_choice_every_model_keeps_its_own(
    client: FlaskClient, worker: None, redis_client: redis.Redis
) -> None:
    for body in ({}, {"sampling": None}, {"sampling": {}}, {"sampling": {"stop": []}}):
        begun(client, **body)
        assert job(redis_client).sides.a.sampling == Sampling()


@pytest.mark.parametrize(
    ("sampling", "refusal"),
    [
        ({"temperature": 2.1}, "invalid_body"),
        ({"temperature": -0.1}, "invalid_body"),
        ({"temperature": "1"}, "invalid_body"),
        ({"top_p": 0}, "invalid_body"),
        ({"max_tokens": 0}, "invalid_body"),
        ({"max_tokens": 4097}, "sampling_refused"),
        ({"seed": -1}, "invalid_body"),
        ({"seed": 2**32}, "invalid_body"),
        ({"stop": [""]}, "invalid_body"),
        ({"stop": ["x" * 65]}, "invalid_body"),
        ({"stop": list("abcde")}, "invalid_body"),
        ({"stop": ["a\x00"]}, "invalid_body"),
        ({"top_k": 4}, "invalid_body"),
        ([], "invalid_body"),
    ],
)
def test_sampling_beyond_its_limits_is_refused(
    client: FlaskClient, worker: None, arena: Arena, sampling: Any, refusal: str
) -> None:
    assert code(begun(client, sampling=sampling)) == (422, refusal)
    assert arena.db.read(lambda s: s.scalar(select(Battle))) is None


# ── a named pair ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_named_pair_meets_on_sides_by_chance_and_its_vote_never_counts(
    client: FlaskClient, worker: None, arena: Arena, finish: Finish, records: Any
) -> None:
    battle = begun(client, models=list(MODELS[1:3])).get_json()["id"]
    stored = arena.db.read(lambda s: s.get_one(Battle, battle))
    assert {stored.model_a, stored.model_b} == set(MODELS[1:3])
    assert (stored.ranked, stored.probability, stored.policy_version) == (False, 1.0, "named")
    finish(battle)
    assert client.get(f"/api/battles/{battle}").get_json()["voted_at"] is None
    assert client.post(f"/api/battles/{battle}/vote", json={"winner": "a"}).status_code == 201
    shown = client.get(f"/api/battles/{battle}").get_json()
    assert (shown["ranked"], shown["voted_at"]) == (False, the_vote(arena).created_at.isoformat())
    assert (the_vote(arena).counted, the_vote(arena).reasons) == (False, ["named_pair"])
    assert records.refresh_ratings() is False
    assert client.get("/api/battles").get_json()["battles"][0]["ranked"] is False


def test_the_sides_of_a_named_pair_are_a_coin(client: FlaskClient, worker: None, arena: Arena) -> None:
    for _ in range(40):
        assert begun(client, models=list(MODELS[:2])).status_code == 202
    sides = Counter(arena.db.read(lambda s: list(s.scalars(select(Battle.model_a)))))
    assert set(sides) == set(MODELS[:2])


@pytest.mark.parametrize(
    ("models", "refusal"),
    [
        (["echo-sage", "nobody"], "unknown_contender"),
        (["echo-sage", "echo-sage"], "same_contender"),
        (["nobody", "nobody"], "unknown_contender"),
        (["echo-sage"], "invalid_body"),
        (["echo-sage", "echo-bard", "echo-coder"], "invalid_body"),
        ("echo-sage", "invalid_body"),
        (["echo-sage", 1], "invalid_body"),
    ],
)
def test_a_pair_that_is_none_is_refused(
    client: FlaskClient, worker: None, arena: Arena, models: Any, refusal: str
) -> None:
    assert code(begun(client, models=models)) == (422, refusal)
    assert arena.db.read(lambda s: s.scalar(select(Battle))) is None


def test_a_named_model_that_cannot_run_now_is_for_later(client: FlaskClient, redis_client: redis.Redis) -> None:
    report_worker(redis_client, failed={"echo-sage": "broken"})
    reply = begun(client, models=["echo-sage", "echo-bard"])
    assert code(reply) == (503, "no_worker")
    assert int(reply.headers["Retry-After"]) > 0


# ── beside the vote ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def battle(begin: Begin, finish: Finish) -> str:
    made = begin()
    finish(made)
    return made


WHY = {"a": ["useful", "complete"], "b": ["incorrect"]}


def vote(client: FlaskClient, battle: str, **more: Any) -> Any:
    return client.post(f"/api/battles/{battle}/vote", json={"winner": "a", **more})


def remark(client: FlaskClient, battle: str, **body: Any) -> Any:
    return client.patch(f"/api/battles/{battle}/vote", json=body)


def test_reasons_and_a_comment_come_with_the_vote(client: FlaskClient, battle: str, arena: Arena) -> None:
    assert vote(client, battle, why=WHY, comment="B is wrong.").status_code == 201
    assert the_vote(arena).why == {"a": ["complete", "useful"], "b": ["incorrect"]}
    assert (the_vote(arena).comment, the_vote(arena).counted) == ("B is wrong.", True)


def test_or_after_it_and_the_verdict_stays(client: FlaskClient, battle: str, arena: Arena) -> None:
    vote(client, battle)
    reply = remark(client, battle, why={"b": ["superficial", "superficial"]})
    said = {"winner": "a", "why": {"a": [], "b": ["superficial"]}, "comment": None}
    assert (reply.status_code, reply.get_json()) == (200, said)
    assert remark(client, battle, comment="Oh.").get_json() == {**said, "comment": "Oh."}
    assert remark(client, battle).get_json() == {**said, "comment": "Oh."}
    assert remark(client, battle, why=None, comment="  ").get_json() == {"winner": "a", "why": None, "comment": None}
    assert the_vote(arena).winner == "a"


def test_before_the_vote_there_is_nothing_to_remark_on(client: FlaskClient, battle: str) -> None:
    assert code(remark(client, battle, comment="x")) == (409, "not_voted")


def test_nobody_else_remarks_on_a_vote(app: Any, client: FlaskClient, battle: str) -> None:
    vote(client, battle)
    assert code(remark(app.test_client(), battle, comment="x")) == (404, "unknown_battle")


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ({"why": {"a": ["nice"]}}, "invalid_body"),
        ({"why": {"c": ["useful"]}}, "invalid_body"),
        ({"why": ["useful"]}, "invalid_body"),
        ({"comment": 1}, "invalid_body"),
        ({"comment": "a\x00b"}, "invalid_body"),
        ({"comment": "x" * 1001}, "comment_too_long"),
        ({"winner": "b"}, "invalid_body"),
    ],
)
def test_what_is_beside_a_vote_is_bounded(
    client: FlaskClient, battle: str, arena: Arena, body: Any, refusal: str
) -> None:
    if "winner" not in body:
        assert code(vote(client, battle, **body)) == (422, refusal)
        assert arena.db.read(lambda s: list(s.scalars(select(Vote)))) == []
    vote(client, battle)
    assert code(remark(client, battle, **body)) == (422, refusal)
    assert (the_vote(arena).winner, the_vote(arena).why, the_vote(arena).comment) == ("a", None, None)


def test_a_voter_set_apart_learns_nothing_and_does_not_count(client: FlaskClient, battle: str, arena: Arena) -> None:
    from web.models import Quarantine

    owner = arena.db.read(lambda s: s.get_one(Battle, battle)).owner
    arena.db.write(lambda s: s.add(Quarantine(owner=owner, reason="a farm")))
    reply = vote(client, battle)
    assert reply.status_code == 201
    assert "quarantine" not in reply.text
    assert (the_vote(arena).counted, the_vote(arena).reasons) == (False, ["quarantined"])
