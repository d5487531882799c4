"""Lists of one's own battles; deleting and sharing one."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from tests.web.helpers import MODELS, result, side, stream
from web.arena.deletion import deleted_word
from web.context import Arena
from web.models import Answer, Battle, Vote, Words
from web.records.service import Records
from worker.contract import channel
from worker.contract.events import SideDelta

Begin = Callable[..., str]
Finish = Callable[..., Any]


def vote(client: FlaskClient, battle: str, **more: Any) -> Any:
    return client.post(f"/api/battles/{battle}/vote", json={"winner": "a", **more})


def rows(arena: Arena, table: Any, battle: str) -> list[Any]:
    key = table.id if table is Battle else table.battle_id
    return arena.db.read(lambda s: list(s.scalars(select(table).where(key == battle))))


@pytest.fixture
def voted(begin: Begin, finish: Finish, client: FlaskClient) -> str:
    battle = begin("A private   question,\nin lines?")
    finish(battle, a=side("A private answer."))
    assert vote(client, battle, comment="A private comment.", why={"a": ["useful"]}).status_code == 201
    return battle


# ── lists ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_ones_battles_come_newest_first_a_page_at_a_time(begin: Begin, client: FlaskClient, app: Flask) -> None:
    made = [begin(f"Number {n}?") for n in range(5)]
    begin(who=app.test_client())
    seen: list[str] = []
    cursor = None
    for size in (2, 2, 1):
        query = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = client.get("/api/battles", query_string=query).get_json()
        assert len(page["battles"]) == size
        seen += [b["id"] for b in page["battles"]]
        cursor = page["next_cursor"]
    assert (seen, cursor) == (made[::-1], None)


def test_a_battle_begun_meanwhile_shifts_no_page(begin: Begin, client: FlaskClient) -> None:
    made = [begin() for _ in range(4)]
    first = client.get("/api/battles?limit=2").get_json()
    begin()
    second = client.get("/api/battles", query_string={"limit": 2, "cursor": first["next_cursor"]}).get_json()
    assert [b["id"] for b in first["battles"] + second["battles"]] == made[::-1]


def test_models_are_named_only_in_battles_that_were_voted(
    begin: Begin, finish: Finish, client: FlaskClient, voted: str, arena: Arena
) -> None:
    finish(begin("Not voted?"))
    listed = client.get("/api/battles").get_json()["battles"]
    assert [b["winner"] for b in listed] == [None, "a"]
    assert not [m for m in MODELS if m in json.dumps(listed[0])]
    assert (listed[0]["models"], listed[0]["votable"]) == (None, True)
    stored = rows(arena, Battle, voted)[0]
    assert (listed[1]["models"]["a"]["id"], listed[1]["models"]["b"]["id"]) == (stored.model_a, stored.model_b)
    assert (listed[1]["prompt"], listed[1]["votable"], listed[1]["ranked"]) == (
        "A private question, in lines?",
        False,
        True,
    )


def test_a_long_prompt_is_cut_short_in_a_list(begin: Begin, client: FlaskClient, settings: Any) -> None:
    begin("word " * 20)
    assert client.get("/api/battles").get_json()["battles"][0]["prompt"] == ("word " * 20).strip()


def test_without_a_session_there_is_an_empty_list(client: FlaskClient) -> None:
    assert client.get("/api/battles").get_json() == {"battles": [], "next_cursor": None}


@pytest.mark.parametrize(
    "cursor",
    ["x", "%00", "é", base64.urlsafe_b64encode(b"2026-01-01|b").decode(), base64.urlsafe_b64encode(b"||").decode()],
)
def test_a_made_up_cursor_is_refused(begin: Begin, client: FlaskClient, cursor: str) -> None:
    begin()
    reply = client.get("/api/battles", query_string={"cursor": cursor})
    assert (reply.status_code, reply.get_json(force=True)["code"]) == (422, "bad_cursor")


@pytest.mark.parametrize("limit", ["0", "101", "x"])
def test_a_page_has_a_sensible_size(client: FlaskClient, limit: str) -> None:
    reply = client.get(f"/api/battles?limit={limit}")
    assert (reply.status_code, reply.get_json(force=True)["code"]) == (422, "invalid_query")


# ── deletion ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_deleting_takes_the_words_and_the_link_and_leaves_what_the_ranking_needs(
    client: FlaskClient, voted: str, arena: Arena, redis_client: redis.Redis
) -> None:
    owner = rows(arena, Battle, voted)[0].owner
    assert client.delete(f"/api/battles/{voted}").status_code == 204
    assert rows(arena, Words, voted) == []
    (stored,) = rows(arena, Vote, voted)
    assert (stored.winner, stored.counted, stored.comment, stored.idempotency_key) == ("a", True, None, None)
    assert stored.why == {"a": ["useful"]}
    assert stored.owner == rows(arena, Battle, voted)[0].owner == deleted_word("for tests only", owner) != owner
    assert [bool(a.style) for a in rows(arena, Answer, voted)] == [True, True]
    assert channel.read_log(redis_client, voted) == (None, [])
    everything = b"".join(redis_client.dump(k) or b"" for k in redis_client.keys(f"*{voted}*"))
    assert b"private" not in everything


@pytest.mark.parametrize("method", ["get", "delete", "vote", "turns", "retry", "cancel", "share", "events", "ticket"])
def test_nobody_opens_a_deleted_battle_again(client: FlaskClient, voted: str, method: str) -> None:
    client.delete(f"/api/battles/{voted}")
    path = f"/api/battles/{voted}"
    bodies = {"vote": {"winner": "a"}, "turns": {"prompt": "x"}, "retry": {}}
    reply = (
        getattr(client, method)(path)
        if method in ("get", "delete")
        else client.get(f"{path}/events")
        if method == "events"
        else client.post(f"{path}/{method}", json=bodies.get(method))
    )
    assert (reply.status_code, reply.get_json(force=True)["code"]) == (404, "unknown_battle")
    assert client.get("/api/battles").get_json()["battles"] == []


def test_the_deleted_battles_of_one_session_have_the_same_word_and_others_another(
    app: Flask, begin: Begin, finish: Finish, client: FlaskClient, arena: Arena
) -> None:
    other = app.test_client()
    words = []
    for who in (client, client, other):
        battle = begin(who=who)
        finish(battle)
        vote(who, battle)
        who.delete(f"/api/battles/{battle}")
        words.append(rows(arena, Vote, battle)[0].owner)
    assert words[0] == words[1] != words[2]


def test_a_running_battle_is_stopped_and_nothing_is_said_of_it_afterwards(
    begin: Begin, client: FlaskClient, records: Records, arena: Arena, redis_client: redis.Redis
) -> None:
    battle = begin()
    records.started(battle, 1, 1)
    channel.publish(redis_client, battle, [SideDelta("a", "private")], 1)
    assert client.delete(f"/api/battles/{battle}").status_code == 204
    assert redis_client.get(channel.cancel_key(battle))
    with pytest.raises(channel.StaleAttempt):
        channel.publish(redis_client, battle, [SideDelta("a", "more")], 1)
    records.finished(result(battle))
    assert (rows(arena, Battle, battle)[0].state, rows(arena, Words, battle)) == ("cancelled", [])
    assert channel.read_log(redis_client, battle) == (None, [])


def test_a_queued_battle_that_is_deleted_is_not_answered(
    begin: Begin, client: FlaskClient, redis_client: redis.Redis, arena: Arena
) -> None:
    battle = begin()
    client.delete(f"/api/battles/{battle}")
    assert rows(arena, Battle, battle)[0].state == "cancelled"
    with pytest.raises(channel.StaleAttempt):
        stream(redis_client, result(battle))


def test_somebody_elses_battle_is_not_deleted(app: Flask, voted: str, arena: Arena) -> None:
    assert app.test_client().delete(f"/api/battles/{voted}").status_code == 404
    assert len(rows(arena, Words, voted)) == 3


def test_without_redis_nothing_is_deleted_by_halves(
    client: FlaskClient, voted: str, arena: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise redis.ConnectionError("away")

    monkeypatch.setattr(channel, "close", away)
    reply = client.delete(f"/api/battles/{voted}")
    assert (reply.status_code, reply.get_json(force=True)["code"]) == (503, "storage_unavailable")
    assert len(rows(arena, Words, voted)) == 3


# ── shares ───────────────────────────────────────────────────────────────────────────────────────────────────────


def share(client: FlaskClient, battle: str) -> Any:
    return client.post(f"/api/battles/{battle}/share")


def test_a_shared_battle_is_read_by_anybody_and_tells_nothing_of_its_owner(
    app: Flask, client: FlaskClient, voted: str, arena: Arena
) -> None:
    made = share(client, voted)
    share_id = made.get_json()["share_id"]
    assert (made.status_code, made.get_json()["url"]) == (201, f"/shared/{share_id}")
    reply = app.test_client().get(f"/api/shares/{share_id}")
    body = reply.get_json()
    assert (reply.status_code, reply.headers["X-Robots-Tag"]) == (200, "noindex")
    assert [(t["prompt"], t["a"]["text"]) for t in body["turns"]] == [
        ("A private   question,\nin lines?", "A private answer.")
    ]
    assert (body["winner"], body["models"]["a"]["id"]) == ("a", rows(arena, Battle, voted)[0].model_a)
    assert not [s for s in (voted, rows(arena, Battle, voted)[0].owner, "private comment", "useful") if s in reply.text]


def test_sharing_again_gives_the_same_address(client: FlaskClient, voted: str) -> None:
    assert share(client, voted).get_json() == share(client, voted).get_json()


def test_a_battle_is_shared_only_after_its_vote(begin: Begin, finish: Finish, client: FlaskClient) -> None:
    battle = begin()
    finish(battle)
    reply = share(client, battle)
    assert (reply.status_code, reply.get_json(force=True)["code"]) == (409, "not_voted")


def test_a_share_ends_when_it_is_taken_back_or_its_battle_deleted(client: FlaskClient, voted: str) -> None:
    first = share(client, voted).get_json()["share_id"]
    assert client.delete(f"/api/battles/{voted}/share").status_code == 204
    assert client.delete(f"/api/battles/{voted}/share").status_code == 204
    second = share(client, voted).get_json()["share_id"]
    assert first != second
    client.delete(f"/api/battles/{voted}")
    for gone in (first, second, "x" * 300):
        for path in (f"/api/shares/{gone}", f"/shared/{gone}"):
            assert client.get(path).status_code == 404


def test_the_shared_page_needs_no_script_and_hides_no_markup(
    app: Flask, begin: Begin, finish: Finish, client: FlaskClient
) -> None:
    battle = begin("<script>alert(1)</script>")
    finish(battle, a=side("<b>bold</b>"))
    vote(client, battle)
    page = app.test_client().get(share(client, battle).get_json()["url"], headers={"Accept": "text/html"})
    assert (page.status_code, page.headers["X-Robots-Tag"]) == (200, "noindex")
    assert "&lt;script&gt;alert(1)" in page.text
    assert "&lt;b&gt;bold" in page.text
    assert "<script>" not in page.text
    assert "A was preferred" in page.text


def test_a_shared_text_says_in_which_language_it_is_or_that_nobody_knows(
    app: Flask, begin: Begin, finish: Finish, client: FlaskClient
) -> None:
    battle = begin("Warum ist der Himmel am Tag blau und nicht grün?")
    finish(battle, a=side("It is the light of the sun that is in the air."), b=side("E = mc2"))
    vote(client, battle)
    page = app.test_client().get(share(client, battle).get_json()["url"], headers={"Accept": "text/html"})
    assert re.findall(r'class="said[^>]* lang="(\w*)"', page.text) == ["de", "en", ""]


def test_a_shared_battle_shows_only_the_turns_that_were_judged(
    begin: Begin, finish: Finish, client: FlaskClient
) -> None:
    battle = begin()
    finish(battle)
    client.post(f"/api/battles/{battle}/turns", json={"prompt": "Broken?"})
    finish(battle, attempt=2, turn=2, a=side(""))
    assert vote(client, battle).status_code == 201
    share_id = share(client, battle).get_json()["share_id"]
    assert [t["turn"] for t in client.get(f"/api/shares/{share_id}").get_json()["turns"]] == [1]
