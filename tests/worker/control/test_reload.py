"""A catalog read anew: what came, went and changed, under load; and files that are refused with nothing changed."""

from __future__ import annotations

import pytest

from tests.processes import wait_for
from tests.worker.control.conftest import CATALOG, VLLM, Operator, entry
from worker.errors import ModelUnavailable
from worker.report import report_of

LARGE = VLLM.replace("200MiB", "9GiB")


def without(model: str, text: str = CATALOG) -> str:
    return text.replace(entry(model), "")


def changed(model: str, text: str = CATALOG) -> str:
    return text.replace(entry(model), entry(model, more="max_num_seqs = 7\n"))


def test_the_same_file_changes_nothing(operator: Operator) -> None:
    operator.settled()
    assert operator("reload_catalog")["ok"].startswith("nothing changed")
    assert operator.engine("ant")["loads"] == 1


def test_a_new_model_can_be_loaded_at_once(operator: Operator) -> None:
    operator.settled()
    operator.catalog.write_text(CATALOG + entry("fox"))
    assert operator("reload_catalog")["ok"].startswith("added fox")
    assert operator.ended(operator("load", model="fox"))["state"] == "done"
    assert "fox" in report_of(operator.runtime.pool, "", True).models


def test_a_model_that_went_serves_its_battle_to_the_end_and_leaves(operator: Operator) -> None:
    operator.settled()
    over = operator.holds("1", "ant", "bee")
    operator.catalog.write_text(without("ant"))
    assert operator("reload_catalog")["ok"].startswith("removed ant")
    ant = operator.engine("ant")
    assert (ant["leases"], ant["retiring"]) == (1, "its catalog entry is gone")
    assert operator.hand.last("ant").alive
    for command in ("load", "pin", "unload"):
        assert "has left the catalog" in operator(command, model="ant")["error"]
    assert "ant" not in report_of(operator.runtime.pool, "", True).models
    operator.release(over)
    wait_for("ant to be gone", lambda: "ant" not in operator("engines")["engines"])
    assert operator.hand.last("ant").unloads == 1


def test_a_model_that_changed_is_replaced_when_its_battle_has_ended(operator: Operator) -> None:
    operator.settled()
    over = operator.holds("1", "ant", "bee")
    operator.catalog.write_text(changed("ant"))
    assert operator("reload_catalog")["ok"].startswith("changed ant")
    assert operator.engine("ant")["retiring"] == "its catalog entry has changed"
    assert operator.engine("ant")["seats"] == 32
    operator.release(over)
    assert operator.until("ant", "cold")["seats"] == 7
    operator.ended(operator("load", model="ant"))
    assert operator.hand.last("ant").spec.max_num_seqs == 7


def test_a_pin_outlives_a_change_of_its_entry(operator: Operator) -> None:
    operator.settled()
    operator.ended(operator("pin", model="ant"))
    operator.catalog.write_text(changed("ant"))
    operator("reload_catalog")
    wait_for("ant to be back", lambda: operator.engine("ant")["loads"] and operator.engine("ant")["seats"] == 7)
    assert operator.until("ant", "ready")["pinned"] is True


def test_who_waits_or_asked_for_what_went_is_told(operator: Operator) -> None:
    operator.settled()
    over = operator.holds("1", "ant", "bee")
    operator.holds("2", "cat", "dog")
    asked = operator("load", model="cat")
    operator.catalog.write_text(without("cat"))
    operator("reload_catalog")
    assert "not in this worker's catalog" in operator.ended(asked)["detail"]
    waiting = operator.tasks[1]
    wait_for("the waiter to be told", waiting.done)
    assert isinstance(waiting.exception(), ModelUnavailable)
    operator.release(over)
    assert operator("queue")["waiting"] == 0


def test_a_broken_file_is_refused_with_its_one_line(operator: Operator) -> None:
    operator.settled()
    operator.catalog.write_text(CATALOG.replace('licence = "MIT"', "licence = 3", 1))
    refused = operator("reload_catalog")["error"]
    assert "models[0].licence" in refused
    assert refused.endswith("nothing has changed")
    operator.catalog.unlink()
    assert "no such file" in operator("reload_catalog")["error"]
    assert set(operator("engines")["engines"]) == {"ant", "bee", "cat", "dog"}
    assert operator.engine("ant")["state"] == "ready"


@pytest.mark.parametrize("text", ["models = 3", CATALOG + entry("whale", LARGE)], ids=["broken", "too large"])
def test_a_refused_file_is_seen_by_who_watches_while_the_old_one_serves(operator: Operator, text: str) -> None:
    operator.settled()

    def refused() -> float | None:
        return operator.metrics.registry.get_sample_value("arena_catalog_refused")

    assert refused() == 0
    operator.catalog.write_text(text)
    for _ in range(2):
        assert "nothing has changed" in operator("reload_catalog")["error"]
        assert refused() == 1
    over = operator.holds("1", "cat", "dog")
    wait_for("the battle to have its engines", lambda: operator.engine("cat")["leases"] == 1, 10)
    operator.release(over)
    operator.catalog.write_text(CATALOG)
    assert operator("reload_catalog")["ok"].startswith("nothing changed")
    assert refused() == 0


def test_a_catalog_that_cannot_be_served_is_refused_in_the_planners_words(operator: Operator) -> None:
    operator.settled()
    operator.catalog.write_text(CATALOG + entry("whale", LARGE))
    refused = operator("reload_catalog")["error"]
    assert refused.startswith("whale: ")
    assert "GiB" in refused
    assert "whale" not in operator("engines")["engines"]


def test_the_budget_is_the_one_the_worker_started_with(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is free now is less by the engines in memory; asking again would count them twice."""
    operator.settled()
    monkeypatch.setattr("worker.models.memory.host_available", lambda: 0)
    operator.catalog.write_text(CATALOG + entry("fox"))
    assert operator("reload_catalog")["ok"].startswith("added fox")


def test_a_pair_that_does_not_fit_is_taken_with_a_warning(operator: Operator) -> None:
    operator.settled()
    operator.catalog.write_text(CATALOG + entry("ox", VLLM.replace("200MiB", "900MiB")))
    said = operator("reload_catalog")["ok"]
    assert said.startswith("added ox; beware: ant + ox: ")
    assert "python -m worker.models plan" in said
    assert operator("reload_catalog")["ok"].startswith("nothing changed (")
