"""A battle of several turns as a visitor has it: real processes, stand-in engines."""

from __future__ import annotations

import concurrent.futures
import os
import subprocess
import sys
from typing import Any

import pytest
import redis

from ops.client import Client, Refused, Watched
from tests.acceptance.test_arena import CATALOG
from tests.processes import ROOT, Stack
from worker.contract import channel
from worker.contract import events as ev


def ask(client: Client, battle: str, prompt: str) -> Any:
    return client.request("POST", f"/api/battles/{battle}/turns", {"prompt": prompt})


def retry(client: Client, battle: str) -> Any:
    return client.request("POST", f"/api/battles/{battle}/retry", {})


def refusal(call: Any, *args: Any) -> tuple[int, str]:
    with pytest.raises(Refused) as refused:
        call(*args)
    return refused.value.status, str(refused.value.problem["code"])


def texts(view: ev.BattleView) -> list[tuple[str, str, str]]:
    return [(t.prompt, t.a.text, t.b.text) for t in view.turns]


def first_text(event: ev.StoredEvent) -> bool:
    return isinstance(event, ev.SideDelta)


def begun(client: Client, prompt: str = "One?") -> tuple[str, Watched]:
    battle = client.start(prompt)
    return battle, client.watch(battle)


def test_three_turns_one_of_them_twice_then_the_vote_the_share_and_the_end(echo_arena: Stack) -> None:
    client = Client(echo_arena.url)
    battle, watched = begun(client)
    first = texts(watched.view)[0]
    assert ask(client, battle, "Two?")["turn"] == 2
    watched = client.watch(battle, watched=watched, until=ended)
    second = texts(watched.view)[1]
    assert retry(client, battle)["retry"] == 1
    watched = client.watch(battle, watched=watched, until=ended)
    assert [t.retry for t in watched.view.turns] == [0, 1]
    assert texts(watched.view)[0] == first
    assert texts(watched.view)[1][0] == second[0] == "Two?"
    ask(client, battle, "Three?")
    watched = client.watch(battle, watched=watched, until=ended)
    assert [(t.turn, t.a.status, t.b.status) for t in watched.view.turns] == [(n, "done", "done") for n in (1, 2, 3)]
    assert not [e for _, e in watched.events if isinstance(e, ev.BattleRestarted)]
    fresh, stored = client.watch(battle), client.battle(battle)
    assert texts(fresh.view) == texts(watched.view)
    assert [(t["prompt"], t["a"]["text"], t["b"]["text"]) for t in stored["turns"]] == texts(watched.view)

    received = "\n".join(watched.raw).lower() + "\n" + b"\n".join(client.seen).decode().lower()
    assert [w for m in CATALOG.models for w in (m.id, m.name) if w.lower() in received] == []

    voted = client.vote(battle, "a")
    assert refusal(ask, client, battle, "Four?") == (409, "conversation_over")
    share = client.request("POST", f"/api/battles/{battle}/share", {})
    shown = Client(echo_arena.url).request("GET", f"/api/shares/{share['share_id']}")
    assert (len(shown["turns"]), shown["models"]["a"]["id"]) == (3, voted["models"]["a"]["id"])
    assert client.request("DELETE", f"/api/battles/{battle}") is None
    assert refusal(client.battle, battle) == (404, "unknown_battle")
    assert refusal(client.watch, battle)[1] == "unknown_battle"


def ended(event: ev.StoredEvent) -> bool:
    return isinstance(event, ev.BattleVotable | ev.BattleFailed | ev.BattleCancelled)


def test_a_second_turn_survives_the_loss_of_its_log(echo_arena: Stack) -> None:
    client = Client(echo_arena.url)
    battle, watched = begun(client)
    first = texts(watched.view)[0]
    ask(client, battle, "Tell me a long story")
    watched = client.watch(battle, watched=watched, until=first_text)
    with redis.Redis.from_url(echo_arena.env["ARENA_REDIS_URL"]) as store:
        store.delete(channel.log_key(battle), channel.meta_key(battle))
    after = client.watch(battle, until=ended)
    assert texts(after.view)[0] == first
    assert texts(client.watch(battle, until=ended).view) == texts(after.view), "what has ended is told, not waited for"
    stored = client.battle(battle)["turns"]
    assert [(t["prompt"], t["a"]["text"], t["b"]["text"]) for t in stored] == texts(after.view)
    assert after.view.votable


def test_of_turns_asked_at_once_exactly_one_begins(echo_arena: Stack) -> None:
    client = Client(echo_arena.url)
    battle, _ = begun(client)

    def go(n: int) -> int:
        try:
            ask(client, battle, f"Number {n}?")
        except Refused as refused:
            return refused.status
        return 202

    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        statuses = list(threads.map(go, range(32)))
    assert (statuses.count(202), statuses.count(409)) == (1, 31)
    assert len(client.watch(battle).view.turns) == 2


def test_a_stopped_turn_can_be_tried_again_or_left_behind(echo_arena: Stack) -> None:
    client = Client(echo_arena.url)
    battle, watched = begun(client)
    ask(client, battle, "Stop me")
    watched = client.watch(battle, watched=watched, until=first_text)
    client.request("POST", f"/api/battles/{battle}/cancel", {})
    watched = client.watch(battle, watched=watched, until=ended)
    assert (watched.view.state, watched.view.votable) == ("cancelled", True)
    retry(client, battle)
    watched = client.watch(battle, watched=watched, until=ended)
    assert (watched.view.state, watched.view.votable, watched.view.cancelled_by) == ("finished", True, None)
    assert client.vote(battle, "tie")["winner"] == "tie"


def test_an_operators_words_reach_who_asked(echo_arena: Stack) -> None:
    client = Client(echo_arena.url)
    battle = client.start("Stop me for maintenance")
    half = client.watch(battle, until=first_text)
    command = [sys.executable, "-m", "celery", "-A", "worker", "control", "-t", "20", "-d", "worker@test", "cancel"]
    said = subprocess.run(
        [*command, battle, "reason=Maintenance, back at noon."],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **echo_arena.env},
        check=True,
        timeout=60,
    )
    assert "is being cancelled" in said.stdout
    view = client.watch(battle, watched=half, until=ended).view
    assert (view.state, view.cancelled_by, view.cancel_reason) == (
        "cancelled",
        "operator",
        "Maintenance, back at noon.",
    )
    shown = client.battle(battle)
    assert (shown["cancelled_by"], shown["cancel_reason"]) == ("operator", "Maintenance, back at noon.")


def test_of_200_votes_at_once_exactly_one_counts_and_all_learn_which(echo_arena: Stack) -> None:
    client = Client(echo_arena.url)
    battle, _ = begun(client, "Race")
    choices = ("a", "b", "tie", "both_bad")

    def vote(n: int) -> tuple[int, str]:
        try:
            return 201, str(client.vote(battle, choices[n % 4])["winner"])
        except Refused as refused:
            return refused.status, str(refused.problem["winner"])

    with concurrent.futures.ThreadPoolExecutor(32) as threads:
        answers = list(threads.map(vote, range(200)))
    assert sorted(status for status, _ in answers) == [201] + [409] * 199
    assert {winner for _, winner in answers} == {client.battle(battle)["winner"]}
