"""A batch on a whole arena of stand-ins: fed by the records worker, answered by the worker, whatever is restarted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.integration.conftest import entry
from tests.processes import ROOT, Stack, arena, wait_for

IN_FLIGHT = 3
CANARY = "canary-b4tch"


@pytest.fixture
def stack(tmp_path: Path, redis_url: str, redis_client: redis.Redis) -> Iterator[Stack]:
    (tmp_path / "echo.toml").write_text("".join(entry(m, tokens_per_s=100, length=60) for m in ("ant", "bee", "cat")))
    env = {
        "ARENA_REDIS_URL": redis_url,
        "ARENA_CATALOG": str(tmp_path / "echo.toml"),
        "ARENA_BATCH_IN_FLIGHT": str(IN_FLIGHT),
    }
    with arena(env, tmp_path) as made:
        yield made


class Researcher:
    """A program with a key of scope ``battle``."""

    def __init__(self, stack: Stack) -> None:
        self.url = stack.url
        flask = [sys.executable, "-m", "flask", "--app", "web", "keys", "create", "lab", "--scope", "battle", "--json"]
        env = {**os.environ, **stack.env}
        made = subprocess.run(flask, env=env, cwd=ROOT, check=True, capture_output=True, text=True)
        self.key = json.loads(made.stdout)["key"]

    def ask(self, path: str, body: bytes | None = None, kind: str = "application/json") -> str:
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": kind}
        request = urllib.request.Request(self.url + path, body, headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return str(answer.read().decode())

    def progress(self, batch: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.ask(f"/api/batches/{batch}"))
        counts = found["counts"]
        assert counts["queued"] + counts["running"] <= IN_FLIGHT
        assert sum(counts.values()) == found["size"]
        return found


def test_a_batch_is_answered_whole_though_its_feeder_is_killed(stack: Stack, redis_client: redis.Redis) -> None:
    lab = Researcher(stack)
    lines = "".join(json.dumps({"prompt": f"{CANARY} number {n}"}) + "\n" for n in range(1, 13))
    batch = json.loads(lab.ask("/api/batches?name=twelve", lines.encode(), "application/jsonl"))["id"]
    wait_for("some battles to end", lambda: lab.progress(batch)["counts"]["finished"] >= 2, 60, stack.web)
    stack.records.kill()
    assert lab.progress(batch)["counts"]["waiting"] > 0
    stack.records.start()
    wait_for("the batch to end", lambda: lab.progress(batch)["state"] == "finished", 90, stack.records)
    entries = [json.loads(line) for line in lab.ask(f"/api/batches/{batch}/results").splitlines()]
    assert [e["prompt"] for e in entries] == [f"{CANARY} number {n}" for n in range(1, 13)]
    assert len({e["battle"] for e in entries}) == 12
    for e in entries:
        assert (e["state"], e["models"], e["error"]) == ("finished", None, None)
        assert e["a"]["text"]
        assert e["b"]["text"]
    vote = json.loads(lab.ask(f"/api/battles/{entries[0]['battle']}/vote", b'{"winner": "tie"}'))
    named = json.loads(lab.ask(f"/api/batches/{batch}/results").splitlines()[0])["models"]
    assert named == {side: vote["models"][side]["id"] for side in ("a", "b")}
    assert CANARY not in stack.logs()
