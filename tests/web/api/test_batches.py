"""Batches over REST: taken in whole or refused by line, told as far as they are, names only where they may be told."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.web.helpers import MODELS, report_worker, result
from web.access import digest
from web.context import Arena
from web.models import ApiKey
from web.records.feeder import Feeder
from web.records.service import Records
from web.settings import WebSettings

JSONL = "application/jsonl"


@pytest.fixture
def key(arena: Arena) -> Callable[..., dict[str, str]]:
    """Headers of a new key."""

    def _key(name: str = "researcher", scopes: tuple[str, ...] = ("battle",)) -> dict[str, str]:
        token = f"arena_{name}_{'5' * 40}"
        made = ApiKey(id=name, name=name, digest=digest(token), scopes=list(scopes), limits={})
        arena.db.write(lambda s: s.merge(made))
        return {"Authorization": f"Bearer {token}"}

    return _key


@pytest.fixture
def mine(key: Callable[..., dict[str, str]]) -> dict[str, str]:
    return key()


@pytest.fixture
def feed(arena: Arena, redis_client: redis.Redis) -> Callable[[], int]:
    report_worker(redis_client)
    return Feeder(arena).feed


def entries(reply: TestResponse) -> list[dict[str, Any]]:
    assert reply.status_code == 200, reply.text
    assert reply.content_type == JSONL
    return [json.loads(line) for line in reply.text.splitlines()]


def make(client: FlaskClient, headers: dict[str, str], *prompts: str, **more: Any) -> str:
    reply = client.post("/api/batches", json={"prompts": prompts or ["one", "two"], **more}, headers=headers)
    assert reply.status_code == 202, reply.text
    batch: str = reply.get_json()["id"]
    return batch


def test_a_batch_is_for_keys_with_scope_battle(client: FlaskClient, key: Callable[..., dict[str, str]]) -> None:
    client.get("/")  # a session will not do
    assert client.post("/api/batches", json={"prompts": ["x"]}).get_json()["code"] == "key_needed"
    reply = client.post("/api/batches", json={"prompts": ["x"]}, headers=key("chatter", ("chat",)))
    assert (reply.status_code, reply.get_json()["code"]) == (403, "scope_missing")


def test_a_json_batch_says_what_became_of_it(client: FlaskClient, mine: dict[str, str]) -> None:
    body = {"name": "first", "prompts": ["one", "two", "three"], "sampling": {"temperature": 0.0, "max_tokens": 20}}
    made = client.post("/api/batches", json=body, headers=mine).get_json()
    assert (made["name"], made["size"], made["state"]) == ("first", 3, "running")
    assert made["counts"]["waiting"] == 3
    assert client.get(f"/api/batches/{made['id']}", headers=mine).get_json() == made
    found = entries(client.get(made["results"], headers=mine))
    assert [(e["number"], e["state"], e["prompt"]) for e in found] == [
        (1, "waiting", "one"),
        (2, "waiting", "two"),
        (3, "waiting", "three"),
    ]


@pytest.mark.parametrize(
    ("media", "text"),
    [
        (JSONL, '{"prompt": "one", "id": 7}\n\n"two ö"\r\n{"prompt":"three"}'),
        ("application/x-ndjson", '"one"\n"two ö"\n"three"\n'),
        ("text/plain", "one\n\n  \ntwo ö\r\nthree"),
        ("text/plain; charset=utf-8", "\ufeffone\ntwo ö\nthree"),
    ],
)
def test_a_file_of_lines_is_a_batch(client: FlaskClient, mine: dict[str, str], media: str, text: str) -> None:
    made = client.post("/api/batches?name=file", data=text.encode(), content_type=media, headers=mine)
    assert made.status_code == 202, made.text
    assert made.get_json()["name"] == "file"
    found = entries(client.get(made.get_json()["results"], headers=mine))
    assert [e["prompt"] for e in found] == ["one", "two ö", "three"]


def test_wrong_lines_are_named_and_nothing_is_taken_in(client: FlaskClient, mine: dict[str, str]) -> None:
    text = '"fine"\n\n{"text": "no prompt"}\nnot json\n"also fine"\n'
    reply = client.post("/api/batches", data=text, content_type=JSONL, headers=mine)
    problem = reply.get_json()
    assert (reply.status_code, problem["code"], problem["refused"]) == (422, "invalid_lines", 2)
    assert [(line["line"], line["code"]) for line in problem["lines"]] == [(3, "invalid_line"), (4, "invalid_line")]
    too_long = "x" * 101
    reply = client.post("/api/batches", json={"prompts": ["ok", too_long, " ", "nul \x00"]}, headers=mine)
    problem = reply.get_json()
    assert [(line["line"], line["code"]) for line in problem["lines"]] == [
        (2, "prompt_too_long"),
        (3, "empty_prompt"),
        (4, "invalid_body"),
    ]
    assert too_long not in reply.text
    assert client.get("/api/batches", headers=mine).get_json() == {"batches": [], "next_cursor": None}


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"prompts": []}, "invalid_body", "prompts"),
        ({"prompts": "one"}, "invalid_body", "prompts"),
        ({"prompts": ["one", 2]}, "invalid_body", "prompts.1"),
        ({"prompts": ["one"], "colour": "red"}, "invalid_body", "colour"),
        ({"prompts": ["one"], "models": ["echo-swift", "nobody"]}, "unknown_contender", "models"),
        ({"prompts": ["one"], "models": ["echo-swift", "echo-swift"]}, "same_contender", "models"),
        ({"prompts": ["one"], "sampling": {"max_tokens": 10**6}}, None, None),
        ([], "invalid_body", ""),
    ],
)
def test_what_is_wrong_is_named(
    client: FlaskClient, mine: dict[str, str], body: Any, code: str | None, field: str | None
) -> None:
    reply = client.post("/api/batches", json=body, headers=mine)
    assert reply.status_code == 422
    if code is not None:
        assert (reply.get_json()["code"], reply.get_json().get("field")) == (code, field)


def test_a_word_that_is_not_taken_is_found_in_its_line(
    client: FlaskClient, mine: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = ["fine", "again " * 2000]
    reply = client.post("/api/batches", json={"prompts": prompts}, headers=mine)
    assert reply.get_json()["lines"][0]["line"] == 2


def test_size_is_bounded(client: FlaskClient, mine: dict[str, str], settings: WebSettings) -> None:
    prompts = ["x"] * (settings.batch_max_prompts + 1)
    reply = client.post("/api/batches", json={"prompts": prompts}, headers=mine)
    assert (reply.status_code, reply.get_json()["code"]) == (422, "batch_too_large")
    big = "x" * (settings.batch_max_bytes + 1)
    reply = client.post("/api/batches", data=big, content_type="text/plain", headers=mine)
    assert (reply.status_code, reply.get_json()["code"]) == (413, "body_too_large")


def test_other_kinds_of_body_are_refused(client: FlaskClient, mine: dict[str, str]) -> None:
    reply = client.post("/api/batches", data="a,b", content_type="text/csv", headers=mine)
    assert reply.get_json()["code"] == "not_json"
    reply = client.post("/api/batches", data=b"\xff\xfe", content_type="text/plain", headers=mine)
    assert reply.get_json()["code"] == "invalid_body"


def test_a_key_may_have_only_so_many_unfinished(
    client: FlaskClient, key: Callable[..., dict[str, str]], settings: WebSettings
) -> None:
    mine, other = key("mine"), key("other")
    ids = [make(client, mine) for _ in range(settings.batches_open)]
    reply = client.post("/api/batches", json={"prompts": ["x"]}, headers=mine)
    assert (reply.status_code, reply.get_json()["code"]) == (429, "too_many_batches")
    assert int(reply.headers["Retry-After"]) > 0
    make(client, other)
    client.post(f"/api/batches/{ids[0]}/cancel", headers=mine)
    make(client, mine)


def test_batches_of_others_are_not_there(client: FlaskClient, key: Callable[..., dict[str, str]]) -> None:
    batch, other = make(client, key("mine")), key("other")
    for method, path in (("get", ""), ("get", "/results"), ("post", "/cancel")):
        reply = getattr(client, method)(f"/api/batches/{batch}{path}", headers=other)
        assert (reply.status_code, reply.get_json()["code"]) == (404, "unknown_batch")
    assert client.get("/api/batches", headers=other).get_json()["batches"] == []


def test_the_list_goes_on_where_a_page_ended(
    client: FlaskClient, mine: dict[str, str], arena: Arena, feed: Callable[[], int]
) -> None:
    ids = [make(client, mine, f"prompt {n}") for n in range(3)]
    first = client.get("/api/batches?limit=2", headers=mine).get_json()
    rest = client.get("/api/batches", query_string={"cursor": first["next_cursor"]}, headers=mine).get_json()
    assert [b["id"] for b in first["batches"] + rest["batches"]] == ids[::-1]
    assert rest["next_cursor"] is None
    for cursor in ("nonsense", "2026-01-01~x", "~", "2026-01-01T00:00:00+00:00~"):
        reply = client.get("/api/batches", query_string={"cursor": cursor}, headers=mine)
        assert (reply.status_code, reply.get_json()["code"]) == (422, "bad_cursor")


def test_names_are_told_after_the_vote_and_not_before(
    client: FlaskClient, mine: dict[str, str], feed: Callable[[], int], records: Records
) -> None:
    batch = make(client, mine)
    feed()
    path = f"/api/batches/{batch}/results"
    ids = [e["battle"] for e in entries(client.get(path, headers=mine))]
    for battle in ids:
        records.finished(result(battle))
    before = client.get(path, headers=mine)
    assert [(e["state"], e["a"]["text"], e["models"]) for e in entries(before)] == [("finished", "Answer A.", None)] * 2
    everything = before.text + str(before.headers) + client.get(f"/api/batches/{batch}", headers=mine).text
    assert not [m for m in MODELS if m in everything]
    assert client.post(f"/api/battles/{ids[0]}/vote", json={"winner": "a"}, headers=mine).status_code == 201
    first, second = entries(client.get(path, headers=mine))
    assert first["winner"] == "a"
    assert set(first["models"].values()) <= set(MODELS)
    assert second["models"] is None
    assert client.get(f"/api/batches/{batch}", headers=mine).get_json()["voted"] == 1


def test_a_named_pair_is_told_when_the_battle_is_over(
    client: FlaskClient, mine: dict[str, str], feed: Callable[[], int], records: Records
) -> None:
    batch = make(client, mine, "one", models=list(MODELS[:2]))
    feed()
    path = f"/api/batches/{batch}/results"
    [running] = entries(client.get(path, headers=mine))
    assert running["models"] is None
    records.finished(result(running["battle"]))
    [over] = entries(client.get(path, headers=mine))
    assert set(over["models"].values()) == set(MODELS[:2])
    assert client.get(f"/api/batches/{batch}", headers=mine).get_json()["state"] == "finished"


def test_results_go_on_after_a_number(client: FlaskClient, mine: dict[str, str]) -> None:
    batch = make(client, mine, *[f"prompt {n}" for n in range(1, 251)])
    found = entries(client.get(f"/api/batches/{batch}/results?after=120", headers=mine))
    assert [e["number"] for e in found] == list(range(121, 251))
    assert entries(client.get(f"/api/batches/{batch}/results?after=250", headers=mine)) == []


def test_cancelling_stops_what_runs_and_forgets_what_waits(
    client: FlaskClient, mine: dict[str, str], feed: Callable[[], int], arena: Arena
) -> None:
    batch = make(client, mine, *[f"prompt {n}" for n in range(8)])
    feed()
    stopped = client.post(f"/api/batches/{batch}/cancel", headers=mine)
    assert (stopped.status_code, stopped.get_json()["state"]) == (202, "cancelled")
    assert stopped.get_json()["counts"]["cancelled"] == 8
    found = entries(client.get(f"/api/batches/{batch}/results", headers=mine))
    assert {e["state"] for e in found} == {"cancelled"}
    assert [e["prompt"] for e in found[arena.settings.batch_in_flight :]] == [None] * 4


@pytest.mark.parametrize("name", ["nul \x00", "half \ud800"])
def test_a_name_that_no_database_holds_is_refused(client: FlaskClient, mine: dict[str, str], name: str) -> None:
    reply = client.post("/api/batches", json={"prompts": ["one"], "name": name}, headers=mine)
    assert (reply.status_code, reply.get_json()["code"], reply.get_json()["field"]) == (422, "invalid_body", "name")


def test_nul_in_an_address_reaches_no_database(client: FlaskClient, mine: dict[str, str]) -> None:
    assert client.get("/api/batches/a%00b", headers=mine).get_json()["code"] == "not_found"
    assert client.get("/api/leaderboard?category=a%00").get_json()["code"] == "invalid_query"
