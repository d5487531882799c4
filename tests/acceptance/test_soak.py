"""Many visitors at once, some of whom leave, come back, cancel or vote: every battle ends, every text is whole."""

from __future__ import annotations

import concurrent.futures
import random

import pytest

from ops.client import Client, Refused
from tests.processes import Stack
from worker.contract import events as ev

pytestmark = pytest.mark.long

VISITORS = 24
BATTLES_EACH = 8


def visit(url: str, seed: int) -> dict[str, int]:
    """One visitor's battles; what became of them by kind. Raises AssertionError when a text is not whole."""
    dice = random.Random(seed)
    client = Client(url, timeout=120)
    ends: dict[str, int] = {}
    for n in range(BATTLES_EACH):
        battle = client.start(f"Visitor {seed}, question {n}")
        watched = None
        while dice.random() < 0.5:
            watched = client.watch(battle, 120, until=lambda e: isinstance(e, ev.SideDelta), watched=watched)
            if watched.view.state in ("finished", "failed", "cancelled"):
                break
        if dice.random() < 0.2:
            client.request("POST", f"/api/battles/{battle}/cancel", {})
        whole = client.watch(battle, 180) if watched is None else client.watch(battle, 180, watched=watched)
        stored = client.battle(battle)
        assert stored["state"] == whole.view.state
        for side in ev.SIDES:
            assert getattr(whole.view.turns[0], side).text == stored["turns"][0][side]["text"]
        kind = whole.view.state
        if stored["votable"]:
            client.vote(battle, dice.choice(("a", "b", "tie", "both_bad")))
            with pytest.raises(Refused):
                client.vote(battle, "a")
            kind = "voted"
        ends[kind] = ends.get(kind, 0) + 1
    return ends


def test_every_battle_of_a_crowd_ends_and_is_whole(echo_arena: Stack) -> None:
    with concurrent.futures.ThreadPoolExecutor(VISITORS) as threads:
        ends = list(threads.map(lambda seed: visit(echo_arena.url, seed), range(VISITORS)))
    total = {kind: sum(e.get(kind, 0) for e in ends) for kind in {k for e in ends for k in e}}
    assert sum(total.values()) == VISITORS * BATTLES_EACH
    assert set(total) <= {"voted", "cancelled"}, total
    board = Client(echo_arena.url).request("GET", "/api/leaderboard")["models"]
    assert board
