"""Real vLLM and real models behind everything: the claim the README makes first."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from ops.client import Client
from tests.processes import ROOT, Stack, arena, wait_for
from tests.real import CPU_CATALOG, cpu_catalog, needs_models
from worker.contract import events as ev
from worker.engines import strays

pytestmark = [pytest.mark.real, needs_models]


@pytest.fixture(scope="module")
def real_arena(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    env = {
        "ARENA_REDIS_URL": redis_url.replace("db=0", "db=2"),
        "ARENA_CATALOG": str(CPU_CATALOG),
        "ARENA_MAX_TOKENS": "40",
    }
    with arena(env, Path(tmp_path_factory.mktemp("real")), timeout=300) as stack:
        yield stack


def engines(stack: Stack) -> dict[str, Any]:
    inspect = [sys.executable, "-m", "celery", "-A", "worker", "inspect", "-j", "engines"]
    answer = subprocess.run(inspect, capture_output=True, env={**os.environ, **stack.env}, cwd=ROOT, check=True)
    found: dict[str, Any] = next(iter(json.loads(answer.stdout).values()))["engines"]
    return found


def test_two_real_models_stream_are_voted_and_ranked(real_arena: Stack) -> None:
    client = Client(real_arena.url, timeout=120)
    battle = client.start("What is the capital of France? Answer in one sentence.")
    watched = client.watch(battle, timeout=300)
    assert watched.view.votable, watched.view
    for side in ev.SIDES:
        view = getattr(watched.view.turns[0], side)
        deltas = [e for _, e in watched.events if isinstance(e, ev.SideDelta) and e.side == side]
        assert view.text.strip()
        assert len(deltas) > 3
    voted = client.vote(battle, "b")
    for side in ev.SIDES:
        facts = voted["models"][side]
        assert facts["id"] in cpu_catalog().ids
        assert 0 < facts["completion_tokens"] <= 40
        assert facts["tokens_per_s"] > 0
    winner = voted["models"]["b"]["id"]
    rows = wait_for(
        "the vote on the leaderboard",
        lambda: {r["model"]: r for r in client.request("GET", "/api/leaderboard")["models"] if r["votes"]},
    )
    assert rows[winner]["rank"] == 1


def test_a_second_turn_is_answered_and_one_too_long_is_refused_for_both(real_arena: Stack) -> None:
    client = Client(real_arena.url, timeout=120)
    battle = client.start("Name a colour.")
    watched = client.watch(battle, timeout=300)
    turns = f"/api/battles/{battle}/turns"

    def ended(event: ev.StoredEvent) -> bool:
        return isinstance(event, ev.BattleVotable | ev.BattleFailed)

    client.request("POST", turns, {"prompt": "And another one?"})
    watched = client.watch(battle, timeout=300, watched=watched, until=ended)
    assert watched.view.votable, watched.view
    client.request("POST", turns, {"prompt": "ẞ9ʬ" * 2600})
    watched = client.watch(battle, timeout=300, watched=watched, until=ended)
    assert watched.view.error is not None
    assert (watched.view.state, watched.view.error.code) == ("failed", "context_overflow")
    last = watched.view.turns[-1]
    assert (last.a.error, last.a.text) == (last.b.error, last.b.text)
    assert client.vote(battle, "tie")["winner"] == "tie"


def test_every_model_gets_its_turn_although_only_two_fit(real_arena: Stack) -> None:
    client = Client(real_arena.url, timeout=120)
    met: set[str] = set()
    for _ in range(20):
        battle = client.start("Name a colour.")
        assert client.watch(battle, timeout=300).view.votable
        met |= {facts["id"] for facts in client.vote(battle, "tie")["models"].values()}
        resident = [m for m, facts in engines(real_arena).items() if facts["state"] == "ready"]
        assert len(resident) <= 2
        if met == set(cpu_catalog().ids):
            return
    raise AssertionError(f"after 20 battles only {met} had taken part")


def test_no_engine_outlives_a_worker_that_was_killed(real_arena: Stack) -> None:
    tree = psutil.Process(real_arena.worker.pid).children(recursive=True)
    assert any((strays.run_folder() / f"{p.pid}.json").exists() for p in tree), "engine processes write themselves down"
    real_arena.worker.signal(signal.SIGKILL)
    gone, alive = psutil.wait_procs(tree, timeout=60)
    assert [p for p in alive if p.status() != psutil.STATUS_ZOMBIE] == []
    assert gone
