"""The whole arena as a visitor meets it: real processes, stand-in engines."""

from __future__ import annotations

import concurrent.futures
import json
import os
import subprocess
import sys
from typing import Any

import pytest

from ops.client import Client, Refused
from tests.processes import ROOT, Stack, wait_for
from worker.contract import events as ev
from worker.contract.catalog import load_catalog

CATALOG = load_catalog(ROOT / "ops" / "catalogs" / "echo.toml")


def leaderboard(client: Client) -> dict[str, Any]:
    return {row["model"]: row for row in client.request("GET", "/api/leaderboard")["models"]}


def test_a_prompt_becomes_two_streams_a_vote_two_names_and_a_moved_leaderboard(echo_arena: Stack) -> None:
    client = Client(echo_arena.url)
    before = {m: row["votes"] for m, row in leaderboard(client).items()}
    battle = client.start("What is a monad?")
    watched = client.watch(battle)
    assert watched.view.votable
    for side in ev.SIDES:
        deltas = [e for _, e in watched.events if isinstance(e, ev.SideDelta) and e.side == side]
        assert len(deltas) > 5, "tokens stream; they do not come in one piece"
    shown = client.battle(battle)
    assert (shown["turns"][0]["a"]["text"], shown["models"]) == (watched.view.turns[0].a.text, None)

    voted = client.vote(battle, "a")
    names = {voted["models"][s]["id"] for s in ev.SIDES}
    assert len(names) == 2
    assert names <= set(CATALOG.ids)
    after = wait_for(
        "the leaderboard to count the vote",
        lambda: (
            (rows := leaderboard(client))
            and all(rows.get(m, {"votes": 0})["votes"] == before.get(m, 0) + 1 for m in names)
            and rows
        ),
    )
    winner, loser = voted["models"]["a"]["id"], voted["models"]["b"]["id"]
    assert after[winner]["win_rate"] > 0
    assert client.battle(battle)["models"]["b"]["id"] == loser


def test_no_byte_before_the_vote_names_a_model(echo_arena: Stack) -> None:
    words = {w.lower() for m in CATALOG.models for w in (m.id, m.name)}
    for prompt in ("Who are you?", "Hello", "x" * 500):
        client = Client(echo_arena.url)
        battle = client.start(prompt)
        watched = client.watch(battle)
        client.battle(battle)
        for path in ("/api/battles/not-a-battle", f"/api/battles/{battle}/nothing"):
            with pytest.raises(Refused):
                client.request("GET", path)
        with pytest.raises(Refused):
            client.request("POST", f"/api/battles/{battle}/vote", {"winner": "neither"})
        received = "\n".join(watched.raw).lower() + "\n" + b"\n".join(client.seen).decode().lower()
        assert [w for w in words if w in received] == []


def test_coming_back_in_the_middle_gives_the_whole_text_and_nothing_twice(echo_arena: Stack) -> None:
    client = Client(echo_arena.url)
    battle = client.start("Tell me a long story")
    count = 0

    def tenth(event: ev.StoredEvent) -> bool:
        nonlocal count
        count += isinstance(event, ev.SideDelta)
        return count >= 10

    half = client.watch(battle, until=tenth)
    assert not half.view.votable
    whole = client.watch(battle, watched=half)
    fresh = client.watch(battle)
    stored = client.battle(battle)
    for side in ev.SIDES:
        assert getattr(whole.view.turns[0], side).text == stored["turns"][0][side]["text"]
        assert getattr(fresh.view.turns[0], side).text == stored["turns"][0][side]["text"]


def test_strangers_see_nothing_of_a_battle(echo_arena: Stack) -> None:
    owner, stranger = Client(echo_arena.url), Client(echo_arena.url)
    battle = owner.start("mine")
    owner.watch(battle)
    stranger.start("my own")
    for method, path, body in (
        ("GET", f"/api/battles/{battle}", None),
        ("POST", f"/api/battles/{battle}/vote", {"winner": "a"}),
        ("POST", f"/api/battles/{battle}/cancel", {}),
    ):
        with pytest.raises(Refused) as refused:
            stranger.request(method, path, body)
        assert (refused.value.status, refused.value.problem["code"]) == (404, "unknown_battle")
    with pytest.raises(Refused):
        stranger.watch(battle)
    assert owner.battle(battle)["votable"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"prompt": ""}, 422, "empty_prompt"),
        ({"prompt": "   \n"}, 422, "empty_prompt"),
        ({"prompt": "x" * 8001}, 422, "prompt_too_long"),
        ({"prompt": 3}, 422, "invalid_body"),
        ({}, 422, "invalid_body"),
        ([], 422, "invalid_body"),
    ],
)
def test_bad_prompts_are_refused_in_words(echo_arena: Stack, body: Any, status: int, code: str) -> None:
    with pytest.raises(Refused) as refused:
        Client(echo_arena.url).request("POST", "/api/battles", body)
    assert (refused.value.status, refused.value.problem["code"]) == (status, code)
    assert refused.value.problem["detail"]
    if code == "prompt_too_long":
        assert "8000" in refused.value.problem["detail"]


def test_votes_out_of_turn_are_refused_and_change_nothing(echo_arena: Stack) -> None:
    client = Client(echo_arena.url)
    battle = client.start("Early")
    with pytest.raises(Refused) as early:
        client.vote(battle, "a")
    assert (early.value.status, early.value.problem["code"]) == (409, "not_votable")
    client.watch(battle)
    assert client.vote(battle, "tie")["winner"] == "tie"
    with pytest.raises(Refused) as again:
        client.vote(battle, "b")
    assert (again.value.status, again.value.problem["code"]) == (409, "already_voted")
    assert client.battle(battle)["winner"] == "tie"


def test_of_many_votes_at_once_exactly_one_counts(echo_arena: Stack) -> None:
    client = Client(echo_arena.url)
    battle = client.start("Race")
    client.watch(battle)

    def vote(n: int) -> int:
        try:
            client.vote(battle, ("a", "b", "tie", "both_bad")[n % 4])
        except Refused as refused:
            return refused.status
        return 201

    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        statuses = list(threads.map(vote, range(48)))
    assert sorted(set(statuses)) == [201, 409]
    assert statuses.count(201) == 1


def test_cancel_ends_a_running_battle_and_closes_the_vote(echo_arena: Stack) -> None:
    client = Client(echo_arena.url)
    battle = client.start("Stop me")
    half = client.watch(battle, until=lambda e: isinstance(e, ev.SideDelta))
    assert client.request("POST", f"/api/battles/{battle}/cancel", {})["id"] == battle
    ended = client.watch(battle, watched=half)
    assert (ended.view.state, ended.view.cancelled_by) == ("cancelled", "user")
    with pytest.raises(Refused) as refused:
        client.vote(battle, "a")
    assert refused.value.problem["code"] == "not_votable"


def test_sixteen_battles_posted_at_once_all_finish(echo_arena: Stack) -> None:
    def battle(n: int) -> bool:
        client = Client(echo_arena.url)
        return client.watch(client.start(f"Prompt {n}"), timeout=120).view.votable

    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        assert all(threads.map(battle, range(16)))


def test_loaded_models_are_told_on_the_private_listener_only(echo_arena: Stack) -> None:
    public = Client(echo_arena.url).request("GET", "/health")
    assert "loaded_models" not in public
    assert public["status"] == "healthy"
    assert set(public["available_models"]) == set(CATALOG.ids)
    private = Client(echo_arena.private_url).request("GET", "/health")
    assert set(private["loaded_models"]) <= set(CATALOG.ids)


def test_prompts_and_answers_reach_no_log(echo_arena: Stack) -> None:
    client = Client(echo_arena.url)
    battle = client.start("canary-prompt-77 please")
    watched = client.watch(battle)
    logs = echo_arena.logs()
    assert "canary-prompt-77" not in logs
    assert watched.view.turns[0].a.text[-40:].strip() not in logs


def test_commands_for_engines_reach_no_other_kind_of_worker(echo_arena: Stack) -> None:
    inspect = [sys.executable, "-m", "celery", "-A", "worker", "inspect", "-j", "engines"]
    answer = subprocess.run(
        inspect, capture_output=True, text=True, cwd=ROOT, env={**os.environ, **echo_arena.env}, check=True
    )
    assert list(json.loads(answer.stdout)) == ["worker@test"]


def test_the_api_describes_itself(echo_arena: Stack) -> None:
    spec = Client(echo_arena.url).request("GET", "/openapi.json")
    assert spec["openapi"].startswith("3.1")
    assert {"/api/battles", "/api/leaderboard", "/api/models", "/health"} <= set(spec["paths"])
    assert json.dumps(spec)
