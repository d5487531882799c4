"""Operators before the real worker: Celery's own command line and programs, while battles run."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kombu.pools
import pytest
import redis

from tests.integration.conftest import CANARY, CATALOG, NODE, entry, program, until_both_ended, until_delta
from tests.processes import Process, wait_for
from worker.contract import audit, channel, jobs, residency
from worker.contract import events as ev

Send = Callable[[str, str], str]
Ask = Callable[..., Any]
Cli = Callable[..., subprocess.CompletedProcess[str]]

PATIENT = ("-d", NODE, "-t", "20")
"""With a destination Celery returns at its answer; without one it waits for others to the end of ``-t``."""
INSPECT = ("engines", "queue", "memory", "plan", "battles", "operations")
USAGE = (
    *("load <model>", "unload <model>", "sleep <model> [l1|l2]", "wake <model>", "pin <model>", "unpin <model>"),
    *("drain", "resume", "cancel <battle id> [reason]", "set_capacity <engines>", "reload_catalog"),
)


def ended(ask: Ask, answer: dict[str, Any]) -> dict[str, Any]:
    """The operation an answer names, once it has ended."""

    def look() -> Any:
        found = ask("operations", which=answer["operation"])["operations"][0]
        return found if found["state"] != "running" else None

    return wait_for(f"the operation of {answer}", look)  # type: ignore[no-any-return]


def engine(ask: Ask, model: str) -> dict[str, Any]:
    found: dict[str, Any] = ask("engines")["engines"][model]
    return found


def accepting(client: redis.Redis) -> bool:
    return any(r.accepting for r in residency.read(client))


def test_the_command_line_lists_explains_shows_and_refuses(
    worker: Process, celery: Cli, redis_client: redis.Redis, send: Send
) -> None:
    listed = celery("inspect", "--list").stdout
    assert all(f"\n  {name}" in listed for name in INSPECT)
    listed = celery("control", "--list").stdout
    assert all(f"\n  {usage}" in listed for usage in USAGE), listed
    assert "Take no new battles" in listed

    until_delta(redis_client, send("slow", "bee"))
    for name in INSPECT:
        shown = celery("inspect", "-j", *PATIENT, name)
        assert shown.returncode == 0, shown.stderr
        assert isinstance(json.loads(shown.stdout)[NODE], dict)
        assert CANARY not in shown.stdout

    said = celery("control", *PATIENT, "set_capacity", "3")
    assert f"{NODE}: OK" in said.stdout
    assert "capacity is 3; it was 2 (operation " in said.stdout
    for words, refusal in (
        (("load", "fox"), "no model 'fox' in the catalog; there are: ant, bee, cat, slow"),
        (("set_capacity", "two"), "'two' is not a whole number"),
        (("cancel",), "say which: celery -A worker control cancel <battle id> [reason]"),
        (("resume",), "this worker takes battles already"),
        (("sleep", "bee"), "engines do not sleep here; set ARENA_SLEEP=on"),
    ):
        refused = celery("control", *PATIENT, *words)
        assert f"{NODE}: ERROR" in refused.stdout
        assert refusal in refused.stdout
        assert "Traceback" not in refused.stdout + refused.stderr
    assert "Traceback" not in worker.text()


def test_drain_lets_battles_end_and_takes_no_new_ones_until_resume(
    worker: Process, ask: Ask, redis_client: redis.Redis, send: Send
) -> None:
    running = send("slow", "bee")
    until_delta(redis_client, running)
    asked = ask("drain")
    assert asked["ok"].startswith("takes no new battles; 1 battle still to end")
    assert "is draining (1 battle still to end) already" in ask("drain")["error"]
    wait_for("web to be told", lambda: not accepting(redis_client))
    late = send("ant", "bee")

    told = until_both_ended(redis_client, running)
    assert [e.finish_reason for e in told if isinstance(e, ev.SideDone)] == ["stop", "stop"]
    assert ended(ask, asked)["detail"] == "every battle has ended; the worker is idle"
    assert redis_client.llen(jobs.QUEUE_BATTLES) == 1
    assert channel.read_log(redis_client, late) == (None, [])
    assert ask("battles") == {}

    assert "operation" in ask("resume")
    told = until_both_ended(redis_client, late)
    assert [e.finish_reason for e in told if isinstance(e, ev.SideDone)] == ["stop", "stop"]
    wait_for("web to be told", lambda: accepting(redis_client))
    assert "takes battles already" in ask("resume")["error"]


def test_a_resumed_drain_is_over_and_said_to_be(
    worker: Process, ask: Ask, redis_client: redis.Redis, send: Send
) -> None:
    until_delta(redis_client, send("slow", "bee"))
    asked = ask("drain")
    ask("resume")
    drained = ended(ask, asked)
    assert (drained["state"], drained["detail"]) == ("failed", "resumed with 1 battle still running")
    until_both_ended(redis_client, send("ant", "bee"))


def test_drain_and_resume_outlast_a_lost_connection(
    worker: Process, ask: Ask, redis_url: str, redis_client: redis.Redis, send: Send
) -> None:
    def heard() -> bool:
        with program(redis_url) as app:
            return bool(app.control.broadcast("ping", reply=True, timeout=1, limit=1))

    def cut() -> None:
        before = worker.text().count("Connected to redis")
        redis_client.client_kill_filter(_type="normal", skipme=True)
        redis_client.client_kill_filter(_type="pubsub", skipme=True)
        kombu.pools.reset()  # this program's were cut too
        wait_for("a new connection", lambda: worker.text().count("Connected to redis") > before, 30, worker)
        wait_for("commands to be heard", heard, 30, worker)

    ended(ask, ask("drain"))
    cut()
    waiting = send("ant", "bee")
    assert "has drained already" in ask("drain")["error"]
    assert redis_client.llen(jobs.QUEUE_BATTLES) == 1
    ask("resume")
    until_both_ended(redis_client, waiting)
    cut()
    until_both_ended(redis_client, send("ant", "bee"))


def test_running_and_waiting_battles_are_cancelled(
    worker: Process, ask: Ask, env: dict[str, str], redis_client: redis.Redis, send: Send
) -> None:
    """The waiting one would have to wait ten minutes for its engine."""
    Path(env["ARENA_CATALOG"]).write_text(CATALOG + entry("snail", more=", load_s = 600"))
    assert ask("reload_catalog")["ok"].startswith("added snail")
    running, waiting = send("slow", "bee"), send("ant", "snail")
    until_delta(redis_client, running)
    wait_for("the battle to wait", lambda: len(ask("battles")) == 2)
    for battle in (running, waiting):
        asked = ask("cancel", battle=battle)
        assert asked["ok"].startswith(f"{battle} is being cancelled (operation ")
        assert ended(ask, asked)["detail"] == f"{battle} has ended"
        told = until_both_ended(redis_client, battle)
        assert any(isinstance(e, ev.SideDone) and e.finish_reason == "cancelled" for e in told)
        assert f"no battle {battle!r} waits or runs here" in ask("cancel", battle=battle)["error"]
    assert ask("queue")["waiting"] == 0
    wait_for("both results", lambda: redis_client.llen(jobs.QUEUE_RECORDS) >= 3)
    results = [json.loads(m) for m in redis_client.lrange(jobs.QUEUE_RECORDS, 0, -1)]
    assert sum(m["headers"]["task"] == jobs.RECORDS_FINISHED for m in results) == 2


def test_a_catalog_is_read_anew_while_battles_run(
    worker: Process, ask: Ask, env: dict[str, str], redis_client: redis.Redis, send: Send
) -> None:
    file = Path(env["ARENA_CATALOG"])
    running = send("slow", "bee")
    until_delta(redis_client, running)

    file.write_text(CATALOG.replace('licence = "MIT"', "licence = 3", 1))
    refused = ask("reload_catalog")["error"]
    assert "models[0].licence" in refused
    assert refused.endswith("nothing has changed")

    file.write_text(entry("ant", tokens_per_s=300) + entry("bee") + entry("fox"))
    assert ask("reload_catalog")["ok"].startswith("added fox; removed cat, slow; changed ant")
    slow = engine(ask, "slow")
    assert (slow["leases"], slow["retiring"]) == (1, "its catalog entry is gone")
    wait_for("web to be told", lambda: "fox" in residency.read(redis_client)[0].models)
    assert "slow" not in residency.read(redis_client)[0].models
    until_both_ended(redis_client, send("ant", "fox"))

    refused_one = until_both_ended(redis_client, send("slow", "fox"))
    assert all(isinstance(e, ev.SideFailed) for e in refused_one[-2:])
    told = until_both_ended(redis_client, running)
    assert [e.finish_reason for e in told if isinstance(e, ev.SideDone)] == ["stop", "stop"]
    wait_for("slow to be gone", lambda: "slow" not in ask("engines")["engines"])


@pytest.fixture
def sleepy(env: dict[str, str]) -> None:
    env["ARENA_SLEEP"] = "on"


def test_engines_go_through_their_states_on_request(
    sleepy: None, worker: Process, ask: Ask, redis_client: redis.Redis, send: Send
) -> None:
    for command, subject, state in (
        ("sleep", "ant", "sleeping"),
        ("wake", "ant", "ready"),
        ("pin", "ant", "ready"),
        ("unload", "bee", "cold"),
        ("load", "bee", "ready"),
    ):
        asked = ask(command, model=subject)
        assert ended(ask, asked)["state"] == "done", asked
        assert engine(ask, subject)["state"] == state
    assert ask("memory")["pins"] == ["ant"]
    until_both_ended(redis_client, send("cat", "bee"))
    kept = engine(ask, "ant")
    assert (kept["state"], kept["pinned"]) == ("ready", True)
    assert "unpin it first" in ask("unload", model="ant")["error"]
    ended(ask, ask("unpin", model="ant"))
    assert ended(ask, ask("sleep", model="ant"))["state"] == "done"
    assert engine(ask, "ant")["tier"] == "l1"


def test_the_audit_has_every_command_and_nobodys_words(
    worker: Process, ask: Ask, redis_client: redis.Redis, send: Send
) -> None:
    battle = send("slow", "bee")
    until_delta(redis_client, battle)
    done = ask("pin", model="bee")
    ask("load", model="fox")
    ask("cancel", battle=battle)
    ask("engines")
    entries = wait_for("three entries", lambda: len(e := audit.read(redis_client)) >= 3 and e)
    assert [(e.command, e.outcome, e.worker) for e in reversed(entries)] == [
        ("pin", "ok", NODE),
        ("load", "refused", NODE),
        ("cancel", "ok", NODE),
    ]
    assert entries[-1].operation == done["operation"]
    lines = [line for line in worker.text().splitlines() if '"outcome"' in line]
    assert [json.loads(line[line.index("{") :])["command"] for line in lines] == ["pin", "load", "cancel"]
    shown = [ask(command) for command in INSPECT]
    assert CANARY not in json.dumps(shown) + repr(entries) + worker.text()
