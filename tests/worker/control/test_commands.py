"""What operators may ask, what they are told, and what is kept of it."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from types import SimpleNamespace
from typing import Any

import pytest
from celery.worker.control import Panel
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.processes import wait_for
from tests.worker.control.conftest import Operator
from worker.contract import audit, channel, jobs
from worker.memory import Footprint
from worker.stopping import HandedBack

ONE_WORD = ("load", "unload", "sleep", "wake", "pin", "unpin")


def kept(operator: Operator, count: int) -> list[audit.AuditEntry]:
    """The audit stream once it holds ``count`` entries, newest first."""
    return wait_for("the audit", lambda: (e := audit.read(operator.redis)) and len(e) >= count and e)  # type: ignore[no-any-return]


def test_load_and_unload_give_an_id_at_once_and_are_seen_to_the_end(operator: Operator) -> None:
    operator.settled()
    asked = operator("load", model="cat")
    assert asked["ok"] == f"cat will load (operation {asked['operation']})"
    assert operator.ended(asked)["state"] == "done"
    assert operator.engine("cat")["state"] == "ready"
    gone = operator("unload", model="cat")
    assert operator.ended(gone)["state"] == "done"
    assert operator.engine("cat")["state"] == "cold"
    assert operator("unload", model="cat")["error"] == "cat is not in memory"


def test_unload_waits_for_the_battle_it_would_end(operator: Operator) -> None:
    operator.settled()
    over = operator.holds("1", "ant", "bee")
    asked = operator("unload", model="ant")
    assert asked["ok"].startswith("ant unloads when its battle has ended")
    assert operator("operations", which=asked["operation"])["operations"][0]["state"] == "running"
    operator.release(over)
    assert operator.ended(asked)["state"] == "done"
    assert operator.hand.last("ant").unloads == 1


def test_sleep_and_wake_go_through_the_engine(operator: Operator) -> None:
    operator.settled()
    asked = operator("sleep", model="ant")
    assert asked["ok"].startswith("ant sleeps (l1, which frees nothing here) (operation ")
    operator.ended(asked)
    ant = operator.engine("ant")
    assert (ant["state"], ant["tier"]) == ("sleeping", "l1")
    assert operator.hand.last("ant").slept == ["l1"]
    operator.ended(operator("wake", model="ant"))
    assert operator.engine("ant")["state"] == "ready"
    assert operator.hand.last("ant").verified == 1
    assert operator.engine("ant")["costs_measured"] == "load_s, sleep_s, wake_s"


def test_sleep_says_what_is_in_its_way(operator: Operator) -> None:
    operator.settled()
    assert "only an engine in memory can be put to sleep" in operator("sleep", model="cat")["error"]
    assert "sleep = 'l1'" in operator("sleep", model="ant", tier="L2")["error"]
    assert "'l3' is none of l1, l2" in operator("sleep", model="ant", tier="l3")["error"]
    assert "load it instead" in operator("wake", model="cat")["error"]
    slots = operator.runtime.pool.slots
    operator.runtime.on_loop(lambda: slots.set(slots["ant"], footprint=Footprint(slots["ant"].view.footprint.resident)))
    assert "it frees too little; unload it instead" in operator("sleep", model="ant")["error"]


def test_a_pinned_engine_stays_until_it_is_unpinned(operator: Operator) -> None:
    operator.settled()
    assert operator.ended(operator("pin", model="ant"))["state"] == "done"
    assert operator("pin", model="ant")["error"] == "ant is pinned already"
    for refused in (operator("unload", model="ant"), operator("sleep", model="ant")):
        assert refused["error"] == "ant is pinned; unpin it first: celery -A worker control unpin ant"
    assert operator("memory")["pins"] == ["ant"]
    assert operator("unpin", model="ant")["ok"].startswith("ant may be evicted again")
    assert operator("unpin", model="ant")["error"] == "ant is not pinned"
    assert operator("memory")["pins"] == []


def test_a_pin_loads_its_engine_and_pins_that_do_not_fit_are_refused(operator: Operator) -> None:
    operator.settled()
    operator.ended(operator("pin", model="cat"))
    assert operator.engine("cat")["state"] == "ready"
    operator.ended(operator("pin", model="ant"))
    refused = operator("pin", model="dog")["error"]
    assert refused.startswith("ant, cat are pinned and take all places")
    assert "unpin one" in refused
    assert "pinned are" in operator("set_capacity", capacity="1")["error"]


def test_capacity_is_set_and_engines_beyond_it_leave(operator: Operator) -> None:
    operator.settled()
    asked = operator("set_capacity", capacity=" 1 ")
    assert asked["ok"].startswith("capacity is 1; it was 2")
    wait_for("one engine to leave", lambda: operator("memory")["places_taken"] == 1)
    assert operator("engines")["capacity"] == 1
    assert "give 1 or more" in operator("set_capacity", capacity="0")["error"]


def test_drain_stops_reading_and_resume_reads_the_same_queues_again(operator: Operator) -> None:
    operator.settled()
    asked = operator("drain")
    assert operator.ended(asked)["detail"] == "every battle has ended; the worker is idle"
    assert operator.consumer.reading == []
    assert operator("engines")["accepting"] is False
    assert operator.runtime.accepting is False
    assert operator("drain")["error"] == (
        "this worker has drained already; take battles again with: celery -A worker control resume"
    )
    assert operator("resume")["ok"].startswith("takes new battles again")
    assert operator.consumer.reading == ["battles"]
    assert operator("engines")["accepting"] is True
    assert "takes battles already" in operator("resume")["error"]


@pytest.mark.parametrize("commands", [["drain", "resume"], ["drain", "resume", "drain"]])
def test_the_last_of_commands_in_quick_succession_holds(operator: Operator, commands: list[str]) -> None:
    operator.settled()
    operator.consumer.held = []
    for command in commands:
        assert "ok" in operator(command)
    operator.consumer.catch_up()
    assert operator.consumer.reading == (["battles"] if commands[-1] == "resume" else [])


def test_a_drain_before_its_resume_was_carried_out_forgets_no_queue(operator: Operator) -> None:
    operator.settled()
    operator("drain")
    operator.consumer.held = []
    operator("resume")
    operator("drain")
    operator.consumer.catch_up()
    operator("resume")
    assert operator.consumer.reading == ["battles"]


def test_drain_works_while_the_broker_is_away(operator: Operator) -> None:
    operator.settled()
    operator.consumer.task_consumer = None
    assert "ok" in operator("drain")
    assert operator.runtime.accepting is False
    operator.consumer.connect()
    assert operator.consumer.reading == [], "else it would take its jobs and give them back for ever"
    operator.consumer.task_consumer = None
    assert "ok" in operator("resume")
    operator.consumer.connect()
    assert operator.consumer.reading == ["battles"]


def test_a_battle_that_arrives_while_draining_goes_back_to_the_queue(operator: Operator) -> None:
    operator.settled()
    operator("drain")
    sides = jobs.SideJobs(*(jobs.SideJob(m, (jobs.Message("user", "why?"),)) for m in ("ant", "bee")))
    with pytest.raises(HandedBack):
        operator.runtime.run_battle(jobs.BattleJob("late", 1, sides, time.time() + 60))
    assert operator("battles") == {}
    assert channel.read_log(operator.redis, "late") == (None, [])


def test_only_known_battles_are_cancelled(operator: Operator) -> None:
    assert operator("cancel", battle="nobody-00")["error"] == (
        "no battle 'nobody-00' waits or runs here; see: celery -A worker inspect battles"
    )


def test_names_that_are_none_are_told_what_there_is(operator: Operator) -> None:
    assert operator("load", model="fox")["error"] == "no model 'fox' in the catalog; there are: ant, bee, cat, dog"
    assert "did you mean bee? there are: ant" in operator("load", model="beee")["error"]
    assert operator("load")["error"] == "say which: celery -A worker control load <model>"
    assert operator("cancel")["error"] == "say which: celery -A worker control cancel <battle id> [reason]"
    assert operator("set_capacity")["error"] == "say how many: celery -A worker control set_capacity <engines>"


@pytest.mark.parametrize("word", ["", None, 3, 2.5, True, [], ["ant"], {"a": 1}, "x" * 5000, "a\nb", "\x1b[2J", "-1"])
def test_whatever_a_program_passes_the_answer_is_one_line(operator: Operator, word: Any) -> None:
    for command in ONE_WORD:
        assert list(operator(command, model=word)) == ["error"], command
    answers = [operator(command, model=word) for command in ONE_WORD]
    answers += [operator("sleep", model="ant", tier=word), operator("cancel", battle=word)]
    if word != 3:
        answers += [operator("set_capacity", capacity=word)]
    for answer in answers:
        assert list(answer) == ["error"]
        assert answer["error"].isprintable()
        assert len(answer["error"]) < 500


@pytest.mark.parametrize("word", ["two", "2.0", "²", "٢", "1e3", "0x2", "9" * 30])
def test_only_whole_numbers_are_numbers(operator: Operator, word: str) -> None:
    assert "is not a whole number" in operator("set_capacity", capacity=word)["error"]
    assert operator("engines")["capacity"] == 2


def test_unknown_arguments_are_let_pass(operator: Operator) -> None:
    operator.settled()
    assert "ok" in operator("load", model="cat", colour="red")


def test_every_command_is_kept_in_the_log_and_in_redis(operator: Operator, caplog: pytest.LogCaptureFixture) -> None:
    operator.settled()
    before = time.time()
    with caplog.at_level(logging.INFO, "worker.audit"):
        done = operator("pin", model="ant")
        operator("sleep", model="fox", tier="l1")
        operator("set_capacity", capacity="x" * 5000)
    lines = [json.loads(r.getMessage()) for r in caplog.records if r.name == "worker.audit"]
    newest_first = kept(operator, 3)
    assert [(e.command, e.outcome) for e in newest_first] == [
        ("set_capacity", "refused"),
        ("sleep", "refused"),
        ("pin", "ok"),
    ]
    refused, pinned = newest_first[1], newest_first[2]
    assert (pinned.worker, pinned.arguments, pinned.operation) == ("w@unit", {"model": "ant"}, done["operation"])
    assert refused.arguments == {"model": "fox", "tier": "l1"}
    assert "no model 'fox'" in refused.detail
    assert refused.operation is None
    assert before <= pinned.at <= time.time()
    assert all(len(json.dumps(line)) < 1500 for line in lines)
    assert [line["command"] for line in lines] == ["pin", "sleep", "set_capacity"]
    assert lines[0]["operation"] == done["operation"]


def test_an_audit_that_cannot_be_written_breaks_no_command(
    operator: Operator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def lost(redis: Any, entry: audit.AuditEntry) -> None:
        raise RedisConnectionError

    monkeypatch.setattr(audit, "append", lost)
    operator.settled()
    assert operator.ended(operator("load", model="cat"))["state"] == "done"
    wait_for("the warning", lambda: "is not in Redis: ConnectionError" in caplog.text)


def test_a_slow_store_delays_no_command(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    async def slow(redis: Any, entry: audit.AuditEntry) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(audit, "append", slow)
    operator.settled()
    assert [list(operator("load", model="fox")) for _ in range(20)] == [["error"]] * 20


def test_a_busy_loop_is_said_and_nothing_is_done_later(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    operator.settled()
    monkeypatch.setattr("worker.loop.ON_LOOP_LIMIT_S", 0.05)
    blocked, free = SimpleNamespace(now=False), SimpleNamespace(now=False)

    def block() -> None:
        blocked.now = True
        while not free.now:
            time.sleep(0.01)

    operator.runtime._loop.asyncio.call_soon_threadsafe(block)
    wait_for("the loop to block", lambda: blocked.now)
    try:
        busy = "the worker is too busy to answer; nothing was done, try again"
        assert operator("pin", model="ant") == {"error": busy}
        assert operator("engines") == {"error": busy}
    finally:
        free.now = True
    monkeypatch.setattr("worker.loop.ON_LOOP_LIMIT_S", 10.0)
    assert operator("memory")["pins"] == []


@pytest.mark.parametrize("command", ["engines", "plan", "drain", "reload_catalog", "set_capacity"])
def test_a_worker_that_is_still_starting_says_so(command: str, caplog: pytest.LogCaptureFixture) -> None:
    state = SimpleNamespace(app=SimpleNamespace(), hostname="w@unit", consumer=None)
    with caplog.at_level(logging.INFO, "worker.audit"):
        assert Panel.data[command](state) == {"error": "the worker is still starting; try again in a moment"}
    assert bool(caplog.records) == (Panel.meta[command].type == "control")


def test_a_stopped_worker_refuses(operator: Operator) -> None:
    operator.runtime.stop()
    assert "error" in operator("load", model="cat")
    assert "error" in operator("queue")
