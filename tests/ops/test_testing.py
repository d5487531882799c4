"""What ./ops/test chooses to run, and the private PostgreSQL it gives to the tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ops.setup import debian, postgres, testing
from ops.setup.console import SetupError
from ops.setup.venv import Venv


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(testing, "has_nvidia_gpu", lambda: False)


def test_quick_runs_units_only() -> None:
    marker, expression, *ignored = testing.select("quick", False, ["-k", "votes"])
    assert marker == "-m"
    assert expression == "not real and not browser and not postgres and not long and not gpu"
    assert "--ignore=tests/acceptance" in ignored
    assert ignored[-2:] == ["-k", "votes"]


def test_the_normal_run_leaves_out_the_long_ones_and_the_gpu() -> None:
    assert testing.select("", True, []) == ["-m", "not long and not gpu"]


def test_a_machine_without_vllm_leaves_out_real_models() -> None:
    assert testing.select("long", False, []) == ["-m", "not real and not gpu"]


def test_the_tests_do_not_see_somebodys_arena(tmp_path: Path) -> None:
    caller = {"ARENA_DATABASE_URL": "postgresql://live", "ARENA_TEST_X": "1", "HOME": "/root"}
    environment = testing.test_environment(Venv(tmp_path), caller)
    assert "ARENA_DATABASE_URL" not in environment
    assert (environment["ARENA_TEST_X"], environment["HOME"]) == ("1", "/root")


def test_the_closing_line_counts_what_pytest_counted(tmp_path: Path) -> None:
    report = tmp_path / "tests.xml"
    counts = 'errors="1" failures="2" skipped="3" tests="10"'
    report.write_text(f'<?xml version="1.0"?><testsuites name="t"><testsuite name="pytest" {counts}/></testsuites>')
    assert testing.closing_line(report) == "4 passed, 3 failed, 3 skipped"


ABSENT = debian.SystemPackage(("nothing",), "tests of nothing", ("no-such-command",))


def test_a_missing_package_is_noted_or_where_it_must_be_there_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    debian.ensure((ABSENT,), required=False)
    assert "tests of nothing will be skipped; to have them: sudo apt-get install nothing" in capsys.readouterr().out
    with pytest.raises(SetupError, match="tests of nothing cannot run"):
        debian.ensure((ABSENT,), required=True)


@pytest.mark.postgres
@pytest.mark.skipif(postgres.binaries() is None, reason="PostgreSQL is not installed")
def test_a_private_postgres_answers_on_its_socket_survives_a_kill_and_is_gone_afterwards() -> None:
    import psycopg

    with postgres.private_server() as server:
        assert server is not None
        home = Path(server.url.partition("host=")[2])
        with psycopg.connect(server.url.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute("CREATE DATABASE own")
            row = connection.execute("SHOW listen_addresses").fetchone()
            assert row == ("",)
        server.kill()
        server.start()
        with psycopg.connect(server.url.replace("+psycopg", "").replace("/postgres", "/own")) as connection:
            connection.execute("SELECT 1")
    assert not home.exists()
