"""The attack bench on an arena small enough to prove its claim every time; the claimed size is in the long tier."""

from __future__ import annotations

import json

import pytest

from ops.bench.__main__ import main
from ops.bench.attack.rig import Attack, campaign


def test_with_the_defences_on_rigging_from_one_address_gets_nowhere() -> None:
    found = campaign(10, 3000, Attack("target", 1, 3), 4, seed=2)
    assert found.votes_on >= 4 * found.votes_off
    assert not found.gained
    assert found.honest_apart < 0.01


def test_rows_say_at_least_where_an_attack_was_given_up(capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--models", "6", "--votes", "600", "--ranks", "1", "--runs", "1", "--patience", "1.5", "--kinds", "silent"]
    assert main(["attack", *small, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert {row["measure"].split(":")[0] for row in rows} == {
        "silent, 1 address", "silent, 10 addresses", "silent, 100 addresses", "nobody rigs"
    }  # fmt: skip
    for row in rows:
        if "votes to gain" in row["measure"]:
            assert ("at least" in row["measure"]) <= (row["ratio"] >= 1.5)
