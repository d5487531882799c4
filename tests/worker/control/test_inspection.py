"""What operators see: one moment of the pool, in numbers and words, and nobody's texts."""

from __future__ import annotations

import json

import pytest
from celery.worker.control import Panel

from tests.processes import wait_for
from tests.worker.control.conftest import CATALOG, LORA, REMOTE, Operator, entry
from worker.control.inspection import _standing
from worker.memory import Bytes

INSPECT = ("engines", "queue", "memory", "plan", "battles", "chats", "operations")
CONTROL = (
    *("load", "unload", "sleep", "wake", "pin", "unpin"),
    *("drain", "resume", "cancel", "set_capacity", "reload_catalog"),
)


@pytest.mark.parametrize(("kind", "names"), [("inspect", INSPECT), ("control", CONTROL)])
def test_every_command_is_listed_with_its_help(kind: str, names: tuple[str, ...]) -> None:
    for name in names:
        assert Panel.meta[name].type == kind
        assert len(Panel.meta[name].help) > 20
        assert bool(Panel.meta[name].args) == bool(Panel.meta[name].signature), name


def test_engines_tell_state_seats_costs_and_bytes(operator: Operator) -> None:
    operator.settled()
    ant, cat = operator.engine("ant"), operator.engine("cat")
    assert (ant["state"], ant["leases"], ant["loads"]) == ("ready", 0, 1)
    assert ant["seats"] == 32
    assert set(ant["costs"]) == {"load_s", "unload_s", "sleep_s", "wake_s"}
    assert ant["costs_measured"] == "load_s"
    assert ant["idle_s"] >= 0
    assert ant["reserved_host_bytes"] == operator.runtime.pool.slots["ant"].view.reserved.host > 0
    assert ant["reserved"].endswith("MiB host") or ant["reserved"].endswith("GiB host")
    assert (cat["state"], cat["reserved"], cat["costs_measured"]) == ("cold", "nothing", "none")
    assert "idle_s" not in cat


def test_a_failed_engine_says_why_and_for_how_long(operator: Operator) -> None:
    operator.settled()
    operator.hand.fail["cat"] = "no such file"
    operation = operator.ended(operator("load", model="cat"))
    assert (operation["state"], operation["detail"]) == ("failed", "no such file")
    cat = operator.engine("cat")
    assert (cat["state"], cat["why"]) == ("failed", "no such file")
    assert 0 < cat["failed_for_s"] <= 30


@pytest.mark.parametrize("operator", [CATALOG + entry("far", REMOTE) + entry("ant-poet", LORA)], indirect=True)
def test_adapters_and_remote_contenders_are_told_apart(operator: Operator) -> None:
    assert operator.engine("ant")["adapters"] == ["ant-poet"]
    assert operator.engine("far")["remote"] is True
    assert "far" not in operator("memory")["engines"]
    assert "its engine is ant" in operator("load", model="ant-poet")["error"]
    assert "takes no memory here" in operator("sleep", model="far")["error"]
    assert "takes no memory here" in operator("pin", model="far")["error"]


def test_the_queue_lists_groups_in_the_order_they_are_served(operator: Operator) -> None:
    operator.settled()
    operator.holds("1", "ant", "bee")
    for n, pair in enumerate([("ant", "cat"), ("cat", "dog"), ("cat", "dog")]):
        operator.holds(f"job-canary-{n}", *pair, session="session-canary")
    seen = operator("queue")
    assert (seen["waiting"], seen["running"], seen["bound"]) == (3, 1, 100)
    assert {(g["models"], g["waiting"]) for g in seen["line"]} == {("cat + dog", 2), ("ant + cat", 1)}
    assert [g["place"] for g in seen["line"]] == [1, 2]
    first, second = seen["line"]
    assert 0 < first["eta_s"] <= second["eta_s"]
    assert min(first["starts_within_s"], second["starts_within_s"]) > seen["slack_s"] > 0
    assert seen["oldest_s"] == max(first["oldest_s"], second["oldest_s"]) >= 0
    assert "canary" not in json.dumps([operator(command) for command in INSPECT])


@pytest.mark.parametrize(
    ("in_line", "standing"),
    [
        ({"x"}, "waiting"),
        ({"x.a", "x.b"}, "waiting"),
        ({"x.b"}, "running, one side waits"),
        ({"y", "y.a"}, "running"),
        (set(), "running"),
    ],
)
def test_a_battle_waits_until_one_side_can_be_answered(in_line: set[str], standing: str) -> None:
    assert _standing("x", in_line) == standing


def test_an_empty_line_has_no_slack_to_tell(operator: Operator) -> None:
    operator.settled()
    assert operator("queue")["slack_s"] is None
    assert operator("queue")["line"] == []
    json.dumps([operator(command) for command in INSPECT], allow_nan=False)


def test_memory_adds_up(operator: Operator) -> None:
    operator.settled()
    seen = operator("memory")
    held = [e["reserved_host_bytes"] for e in seen["engines"].values()]
    assert seen["host"]["reserved_bytes"] == sum(held) > 0
    assert seen["host"]["budget_bytes"] == 2500 * 2**20
    assert seen["host"]["budget"] == "2.4 GiB"
    assert seen["device"] is None
    assert (seen["capacity"], seen["places_taken"], seen["pins"], seen["sleep"]) == (2, 2, [], "on")
    assert seen["engines"]["cat"]["resident"].endswith("host (estimated)")
    assert seen["engines"]["cat"]["kv_cache"] == "100 MiB"


def test_memory_tells_what_was_measured_from_what_is_estimated(operator: Operator) -> None:
    operator.settled()
    operator.hand.auto = False
    asked = operator("load", model="cat")
    wait_for("cat to load", lambda: "cat" in operator.hand.made)
    engine = operator.hand.last("cat")
    engine.held = lambda: Bytes(0, 300 * 2**20)  # type: ignore[method-assign]
    operator.runtime.on_loop(engine.loaded.set)
    operator.ended(asked)
    cat = operator("memory")["engines"]["cat"]
    assert cat["resident"].endswith("(measured)")
    assert cat["reserved"] == cat["resident"].removesuffix(" (measured)")


def test_the_plan_says_what_would_happen_and_why(operator: Operator) -> None:
    operator.settled()
    assert operator("plan")["next"] == "nothing"
    over = operator.holds("1", "ant", "bee")
    asked = operator("unload", model="ant")
    seen = operator("plan")
    assert seen["asked"] == [f"unload ant (operation {asked['operation']})"]
    assert seen["draining"] == {"ant": "serves 1 battle"}
    assert (seen["next"], seen["memory_turns_to"], seen["starts"]) == ("nothing", None, 0)
    operator.release(over)
    assert operator.ended(asked)["state"] == "done"


def test_the_plan_names_the_engine_that_moves_and_the_pair_memory_turns_to(operator: Operator) -> None:
    operator.settled()
    operator.hand.auto = False
    operator.holds("1", "cat", "dog")
    wait_for("cat or dog to load", lambda: operator.hand.made.keys() & {"cat", "dog"})
    seen = operator("plan")
    assert seen["memory_turns_to"] == "cat + dog"
    moving = seen["moving"]["model"]
    assert seen["moving"]["state"] == "loading"
    assert seen["next"] == f"one move at a time: {moving} first"
    assert seen["slack_s"] > 0


def test_operations_are_found_by_id_and_by_number(operator: Operator) -> None:
    operator.settled()
    made = [operator("set_capacity", capacity=str(n)) for n in (3, 4, 5)]
    assert [o["operation"] for o in operator("operations", which="2")["operations"]] == [
        m["operation"] for m in made[1:]
    ]
    one = operator("operations", which=made[0]["operation"])["operations"]
    assert [o["command"] for o in one] == ["set_capacity 3"]
    assert operator("operations", which="0") == {"operations": []}
    assert "no operation deadbeef" in operator("operations", which="deadbeef")["error"]
    assert "not a whole number" in operator("operations", which="many")["error"]


def test_a_defect_is_an_answer_and_a_traceback_in_the_log(
    operator: Operator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("worker.control.inspection.engine_facts", lambda runtime: 1 / 0)
    assert operator("engines") == {"error": "this is a defect of the worker; its log has the traceback"}
    assert "ZeroDivisionError" in caplog.text
