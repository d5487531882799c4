"""Models come and go while a whole arena runs: one file is edited, the worker is told, nothing is restarted."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ops.client import Client, Refused
from tests.integration.conftest import entry
from tests.processes import ROOT, Stack, arena, wait_for

ANT, BEE = entry("ant"), entry("bee")
SLOW = entry("slow", tokens_per_s=40, length=400).replace("[[models]]", "[[models]]\nweight = 0.001")
"""Hardly ever drawn: it is for a battle that is still running when its other model leaves."""
FOX = entry("fox")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[Stack]:
    folder = Path(tmp_path_factory.mktemp("edited"))
    (folder / "catalog.toml").write_text(ANT + BEE + SLOW)
    env = {
        "ARENA_REDIS_URL": redis_url,
        "ARENA_CATALOG": str(folder / "catalog.toml"),
        "ARENA_MAX_RESIDENT": "4",
        "ARENA_SAMPLING": "weighted",
    }
    with arena(env, folder) as made:
        yield made


def control(stack: Stack, *words: str) -> str:
    """As an operator types it."""
    command = [sys.executable, "-m", "celery", "-A", "worker", "control", "-t", "10", *words]
    ran = subprocess.run(command, env={**os.environ, **stack.env}, cwd=ROOT, capture_output=True, text=True)
    return ran.stdout + ran.stderr


def edit(stack: Stack, text: str) -> str:
    """The file exchanged as editors do it, and the worker told."""
    file = stack.folder / "catalog.toml"
    new = file.with_suffix(".new")
    new.write_text(text)
    new.replace(file)
    return control(stack, "reload_catalog")


def between(client: Client, prompt: str, models: list[str]) -> str:
    return str(client.request("POST", "/api/battles", {"prompt": prompt, "models": models})["id"])


def drawn(client: Client) -> tuple[str, set[str]]:
    """A battle that the arena drew, voted on, and the names of its models."""
    battle = client.start("Whoever comes?")
    assert client.watch(battle).view.votable
    return battle, {m["name"] for m in client.vote(battle, "a")["models"].values()}


def listed(client: Client) -> list[str]:
    return [m["id"] for m in client.request("GET", "/api/models")["models"]]


def board(client: Client) -> dict[str, Any]:
    return {row["model"]: row for row in client.request("GET", "/api/leaderboard")["models"]}


def test_a_model_is_added_and_another_removed_without_a_restart(stack: Stack) -> None:
    client = Client(stack.url)
    old, models = drawn(client)
    assert models == {"Ant", "Bee"}
    wait_for("the board", lambda: "ant" in board(client))
    before = [p.pid for p in (stack.worker, stack.records, stack.web)]

    running = between(client, "And who is still speaking?", ["slow", "ant"])
    wait_for("it to run", lambda: client.battle(running)["state"] == "running")
    assert "added fox; removed ant" in edit(stack, BEE + SLOW + FOX)
    wait_for("web to follow", lambda: listed(client) == ["bee", "slow", "fox"])

    with pytest.raises(Refused) as refused:
        between(client, "Who has left?", ["ant", "bee"])
    assert refused.value.problem["code"] == "unknown_contender"
    assert all(drawn(client)[1] == {"Fox", "Bee"} for _ in range(4))

    assert client.watch(running).view.votable  # a battle that was under way ends as it would have
    assert {m["name"] for m in client.vote(running, "b")["models"].values()} == {"Slow", "Ant"}
    wait_for("the new one on the board", lambda: "fox" in board(client))
    rows = board(client)
    assert (rows["ant"]["retired"], rows["ant"]["name"], rows["fox"]["retired"]) == (True, "Ant", False)
    shown = client.battle(old)
    assert {m["name"] for m in shown["models"].values()} == {"Ant", "Bee"}
    assert [p.pid for p in (stack.worker, stack.records, stack.web)] == before

    refused_edit = edit(stack, BEE + '[[models]]\nid = "half"\n')
    assert "nothing has changed" in refused_edit
    wait_for("web to say so", lambda: listed(client) and "the catalog is not taken up" in stack.web.text())
    assert listed(client) == ["bee", "slow", "fox"]
    assert client.watch(client.start("Is all as it was?")).view.votable
