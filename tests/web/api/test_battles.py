from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from itertools import combinations
from typing import Any

import msgspec
import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from tests.web.helpers import MODELS, queued, report_worker, side, types
from web.arena.drawing import policy_of
from web.arena.lining import session_word
from web.context import Arena
from web.models import Battle, Words
from worker.contract import channel, jobs
from worker.contract.residency import pair_key

Begin = Callable[..., str]
PROMPT = "Why is the sky blue?"


def stored(arena: Arena, battle: str) -> Battle:
    found = arena.db.read(lambda s: s.get(Battle, battle))
    assert found is not None
    return found


def wished(client: redis.Redis, battle: str) -> channel.Cancel:
    return msgspec.json.decode(client.get(channel.cancel_key(battle)) or b"", type=channel.Cancel)


def test_a_prompt_begins_a_battle_without_naming_anybody(client: FlaskClient, worker: None) -> None:
    reply = client.post("/api/battles", json={"prompt": PROMPT})
    body = reply.get_json()
    assert reply.status_code == 202
    assert body == {"id": body["id"], "state": "queued", "ws": "/ws", "url": f"/battles/{body['id']}"}
    everything = reply.text + str(reply.headers)
    assert not [m for m in MODELS if m in everything]


def test_the_pair_its_probability_and_policy_are_stored_before_it_is_queued(begin: Begin, arena: Arena) -> None:
    battle = stored(arena, begin())
    assert {battle.model_a, battle.model_b} < set(MODELS)
    assert battle.model_a != battle.model_b
    may_be = (pytest.approx(0.99 + 0.01 / 6), pytest.approx(0.01 / 6))  # the pair in memory, or one of the others
    assert any(battle.probability == p for p in may_be)
    assert battle.policy_version == policy_of(arena.settings, arena.catalog).version
    assert battle.state == "queued"


def test_the_job_carries_the_prompt_but_no_repr_or_header_does(
    begin: Begin, arena: Arena, redis_client: redis.Redis
) -> None:
    battle = begin(PROMPT)
    (message,) = queued(redis_client)
    args, _, embed = json.loads(base64.b64decode(message["body"]))
    job = jobs.decode_job(args[0])
    assert [m.content for m in job.sides.a.messages] == [PROMPT]
    assert (job.sides.a.model, job.sides.b.model) == (stored(arena, battle).model_a, stored(arena, battle).model_b)
    assert PROMPT not in json.dumps([message["headers"], message["properties"], embed])
    assert message["headers"]["id"] == jobs.task_id(battle, 1)
    assert [c["task"] for c in embed["callbacks"]] == [jobs.RECORDS_FINISHED]
    assert [c["task"] for c in embed["errbacks"]] == [jobs.RECORDS_FAILED]
    assert all(c["options"]["argsrepr"] and c["options"]["queue"] == "records" for c in embed["callbacks"])


def test_followers_learn_of_the_turn_before_the_job_is_queued(begin: Begin, redis_client: redis.Redis) -> None:
    assert types(redis_client, begin()) == ["turn.started"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"prompt": ""}, 422, "empty_prompt"),
        ({"prompt": " \n\t"}, 422, "empty_prompt"),
        ({"prompt": "x" * 101}, 422, "prompt_too_long"),
        ({"prompt": "a\x00b"}, 422, "invalid_body"),
        ({"prompt": 7}, 422, "invalid_body"),
        ({"prompt": None}, 422, "invalid_body"),
        ({}, 422, "invalid_body"),
        ([], 422, "invalid_body"),
        ("text", 422, "invalid_body"),
        ({"prompt": "x", "models": ["echo-sage"]}, 422, "invalid_body"),
    ],
)
def test_a_wrong_body_is_refused_by_its_own_code(
    client: FlaskClient, worker: None, body: Any, status: int, code: str
) -> None:
    reply = client.post("/api/battles", json=body)
    assert (reply.status_code, reply.get_json(force=True)["code"]) == (status, code)
    assert reply.content_type == "application/problem+json"


@pytest.mark.parametrize(
    ("data", "kind", "code"),
    [
        (b"{", "application/json", "not_json"),
        (b'{"prompt": "\xff"}', "application/json", "not_json"),
        (b"[" * 3000, "application/json", "not_json"),
        (b'{"prompt": "\\ud800"}', "application/json", "invalid_body"),
        (b"prompt=x", "application/x-www-form-urlencoded", "not_json"),
        (b'{"prompt": "x"}', "text/plain", "not_json"),
        (b"", "application/json", "not_json"),
    ],
)
def test_what_is_not_json_is_refused(client: FlaskClient, worker: None, data: bytes, kind: str, code: str) -> None:
    reply = client.post("/api/battles", data=data, content_type=kind)
    assert 400 <= reply.status_code < 500
    assert reply.get_json(force=True)["code"] == code


def test_the_limit_is_stated_when_a_prompt_is_too_long(client: FlaskClient, worker: None) -> None:
    body = client.post("/api/battles", json={"prompt": "x" * 101}).get_json(force=True)
    assert (body["limit"], body["length"], body["field"]) == (100, 101, "prompt")
    assert "100" in body["detail"]


def test_a_body_beyond_the_limit_is_refused_unread(client: FlaskClient, worker: None) -> None:
    reply = client.post("/api/battles", json={"prompt": "x" * 100_000})
    assert (reply.status_code, reply.get_json(force=True)["code"]) == (413, "body_too_large")


def test_nothing_is_stored_when_a_battle_is_refused(client: FlaskClient, arena: Arena, worker: None) -> None:
    client.post("/api/battles", json={"prompt": ""})
    assert arena.db.read(lambda s: list(s.scalars(select(Battle)))) == []


def test_without_a_worker_there_is_no_battle(client: FlaskClient) -> None:
    reply = client.post("/api/battles", json={"prompt": PROMPT})
    assert (reply.status_code, reply.get_json(force=True)["code"]) == (503, "no_worker")
    assert int(reply.headers["Retry-After"]) > 0


def test_a_full_line_refuses_with_the_time_to_come_back(client: FlaskClient, redis_client: redis.Redis) -> None:
    report_worker(redis_client, waiting=5, queue_bound=5, eta_s=33.0)
    reply = client.post("/api/battles", json={"prompt": PROMPT})
    assert (reply.status_code, reply.get_json(force=True)["code"]) == (429, "busy")
    assert reply.headers["Retry-After"] == "33"


def test_a_pair_that_every_worker_refuses_is_told_when_to_come_back_and_not_stored(
    client: FlaskClient, arena: Arena, redis_client: redis.Redis
) -> None:
    refuses = {pair_key(a, b): 17.0 for a, b in combinations(MODELS, 2)}
    report_worker(redis_client, refuses=refuses)
    reply = client.post("/api/battles", json={"prompt": PROMPT})
    assert (reply.status_code, reply.get_json(force=True)["code"]) == (429, "busy")
    assert reply.headers["Retry-After"] == "17"
    assert arena.db.read(lambda s: s.scalar(select(Battle))) is None
    assert queued(redis_client) == []


def test_a_refused_pair_is_not_quietly_drawn_again(
    client: FlaskClient, arena: Arena, redis_client: redis.Redis
) -> None:
    taken = pair_key(MODELS[0], MODELS[1])
    refuses = {key: 5.0 for a, b in combinations(MODELS, 2) if (key := pair_key(a, b)) != taken}
    report_worker(redis_client, refuses=refuses)
    replies = [client.post("/api/battles", json={"prompt": PROMPT}).status_code for _ in range(60)]
    stored_pairs = arena.db.read(lambda s: {pair_key(b.model_a, b.model_b) for b in s.scalars(select(Battle))})
    assert stored_pairs <= {taken}
    assert replies.count(202) < 30  # one pair in six; redrawing would make it sixty


def test_workers_know_a_session_by_a_word_that_leads_nowhere(
    app: Flask, begin: Begin, arena: Arena, redis_client: redis.Redis
) -> None:
    mine, theirs = app.test_client(), app.test_client()
    battles = [begin(who=who) for who in (mine, mine, theirs)]
    sent = {m["headers"]["id"]: json.loads(base64.b64decode(m["body"]))[0][0]["session"] for m in queued(redis_client)}
    first, second, third = (sent[jobs.task_id(b, 1)] for b in battles)
    assert first == second != third
    assert re.fullmatch(r"[0-9a-f]{12}", first)
    assert first not in stored(arena, battles[0]).owner


def test_the_same_session_has_another_word_in_another_arena() -> None:
    assert session_word("one key", "owner") != session_word("another key", "owner")


def test_a_battle_that_cannot_be_put_in_line_yet_stays_queued_for_the_reconciler(
    client: FlaskClient, worker: None, arena: Arena, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    from web.queue import Queue, QueueError

    def unreachable(self: Queue, job: object, to: object) -> None:
        raise QueueError("no broker")

    monkeypatch.setattr(Queue, "run_battle", unreachable)
    reply = client.post("/api/battles", json={"prompt": PROMPT})
    assert (reply.status_code, reply.get_json()["state"]) == (202, "queued")
    (battle,) = arena.db.read(lambda s: list(s.scalars(select(Battle))))
    assert (battle.id, battle.state) == (reply.get_json()["id"], "queued")
    assert types(redis_client, battle.id) == ["turn.started"]


def test_redis_away_is_a_clear_refusal(app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    from worker.contract import residency

    def away(_redis: object) -> None:
        raise redis.ConnectionError("away")

    monkeypatch.setattr(residency, "read", away)
    reply = client.post("/api/battles", json={"prompt": PROMPT})
    assert (reply.status_code, reply.get_json(force=True)["code"]) == (503, "storage_unavailable")
    assert "away" not in reply.text


def test_a_battle_shows_the_text_streamed_so_far(begin: Begin, client: FlaskClient, redis_client: redis.Redis) -> None:
    from worker.contract.events import SideDelta, SideStarted

    battle = begin()
    channel.publish(redis_client, battle, [SideStarted("a"), SideDelta("a", "It "), SideDelta("a", "scatters")], 1)
    body = client.get(f"/api/battles/{battle}").get_json()
    assert (body["id"], body["state"], body["votable"], body["models"]) == (battle, "running", False, None)
    (turn,) = body["turns"]
    assert (turn["prompt"], turn["a"]["text"], turn["a"]["status"]) == (PROMPT, "It scatters", "streaming")
    assert turn["b"] == {"text": "", "status": "waiting", "finish_reason": None, "error": None}


@pytest.mark.parametrize("log", ["whole", "gone"])
def test_a_finished_battle_shows_both_texts_with_or_without_its_log(
    begin: Begin, finish: Callable[..., Any], client: FlaskClient, redis_client: redis.Redis, log: str
) -> None:
    battle = begin()
    finish(battle, a=side("One two."), b=side("Three."))
    if log == "gone":
        redis_client.flushall()
    body = client.get(f"/api/battles/{battle}").get_json()
    assert (body["state"], body["votable"], body["models"], body["winner"]) == ("finished", True, None, None)
    assert [body["turns"][0][s]["text"].strip() for s in "ab"] == ["One two.", "Three."]
    assert [body["turns"][0][s]["finish_reason"] for s in "ab"] == ["stop", "stop"]


@pytest.mark.parametrize("path", ["{}", "{}/vote", "{}/cancel"])
def test_somebody_elses_battle_looks_like_one_that_never_was(begin: Begin, app: Flask, path: str) -> None:
    battle = begin()
    stranger = app.test_client()
    method = "get" if path == "{}" else "post"
    body = {"json": {"winner": "a"}} if "vote" in path else {}
    answers = [
        getattr(stranger, method)("/api/battles/" + path.format(b), **body) for b in (battle, "A" * 22, "x" * 300)
    ]
    assert {a.status_code for a in answers} == {404}
    assert {a.text for a in answers} == {answers[0].text}
    assert answers[0].get_json(force=True)["code"] == "unknown_battle"


def test_a_queued_battle_is_cancelled_at_once(
    begin: Begin, client: FlaskClient, arena: Arena, redis_client: redis.Redis
) -> None:
    battle = begin()
    reply = client.post(f"/api/battles/{battle}/cancel")
    assert (reply.status_code, reply.get_json()) == (202, {"id": battle, "state": "cancelled"})
    assert wished(redis_client, battle) == channel.Cancel("user", turn=1)
    assert types(redis_client, battle) == ["turn.started", "battle.cancelled"]
    client.post(f"/api/battles/{battle}/cancel")
    assert types(redis_client, battle) == ["turn.started", "battle.cancelled"]


def test_a_running_battle_is_cancelled_by_its_worker(
    begin: Begin, client: FlaskClient, records: Any, redis_client: redis.Redis
) -> None:
    battle = begin()
    records.started(battle, 1, 1)
    reply = client.post(f"/api/battles/{battle}/cancel")
    assert (reply.status_code, reply.get_json()["state"]) == (202, "running")
    assert wished(redis_client, battle) == channel.Cancel("user", turn=1)
    assert types(redis_client, battle) == ["turn.started"]


def test_a_finished_battle_stays_finished_when_cancelled(
    begin: Begin, finish: Callable[..., Any], client: FlaskClient, redis_client: redis.Redis
) -> None:
    battle = begin()
    finish(battle)
    assert client.post(f"/api/battles/{battle}/cancel").get_json()["state"] == "finished"
    assert redis_client.get(channel.cancel_key(battle)) is None


def test_the_words_can_be_deleted_and_the_battle_stays(
    begin: Begin, finish: Callable[..., Any], client: FlaskClient, arena: Arena, redis_client: redis.Redis
) -> None:
    battle = begin()
    finish(battle)
    arena.db.write(lambda s: [s.delete(w) for w in s.scalars(select(Words).where(Words.battle_id == battle))])
    redis_client.flushall()
    body = client.get(f"/api/battles/{battle}").get_json()
    assert (body["votable"], body["turns"][0]["prompt"], body["turns"][0]["a"]["text"]) == (True, "", "")
