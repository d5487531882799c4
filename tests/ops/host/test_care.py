"""Backup, restore and the doctor on the running host."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

from ops.backup import cli
from ops.doctor.__main__ import examine, main
from ops.doctor.checks import Patient
from tests.ops.host.conftest import Installed
from tests.ops.host.test_running import visitor as visitor
from web.migrate import upgrade


def backup(words: list[str], environment: Mapping[str, str]) -> SimpleNamespace:
    """The command as it is run with those settings: its status and what it printed."""
    out, err = io.StringIO(), io.StringIO()
    kept = {n: v for n, v in os.environ.items() if not n.startswith("ARENA_")}
    with (
        mock.patch.dict(os.environ, {**kept, **environment}, clear=True),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        status = cli.main(words)
    return SimpleNamespace(returncode=status, stdout=out.getvalue(), stderr=err.getvalue())


def content(file: Path) -> list[Any]:
    with contextlib.closing(sqlite3.connect(file)) as connection:
        return list(connection.iterdump())


@pytest.fixture
def stocked(tmp_path: Path, redis_client: Any, redis_url: str) -> dict[str, str]:
    """A small arena: rows in the database, a live log, a message in a queue, what is of the moment only."""
    data = tmp_path / "data"
    data.mkdir()
    upgrade(f"sqlite:///{data / 'arena.sqlite3'}")
    with contextlib.closing(sqlite3.connect(data / "arena.sqlite3")) as connection, connection:
        connection.execute("CREATE TABLE held (word TEXT)")
        connection.execute("INSERT INTO held VALUES ('kept')")
    (data / "secret_key").write_text("k" * 48)
    redis_client.xadd("arena:battle:b1:log", {"e": "hello"})
    redis_client.expire("arena:battle:b1:log", 3600)
    redis_client.rpush("records", b"\x00a result")
    redis_client.set("arena:limits:x", "of the moment")
    return {"ARENA_DATA_DIR": str(data), "ARENA_REDIS_URL": redis_url}


def test_what_is_restored_into_an_empty_place_is_the_same(
    tmp_path: Path, stocked: dict[str, str], redis_client: Any
) -> None:
    made = backup(["create", "--into", str(tmp_path / "kept")], stocked)
    assert made.returncode == 0, made.stderr
    (file,) = (tmp_path / "kept").glob("*.tar.gz")
    assert file.stat().st_mode & 0o077 == 0
    before = content(Path(stocked["ARENA_DATA_DIR"]) / "arena.sqlite3")
    redis_client.flushall()
    empty = {**stocked, "ARENA_DATA_DIR": str(tmp_path / "other")}
    back = backup(["restore", str(file)], empty)
    assert back.returncode == 0, back.stderr
    assert content(tmp_path / "other" / "arena.sqlite3") == before
    assert (tmp_path / "other" / "secret_key").read_text() == "k" * 48
    assert redis_client.lrange("records", 0, -1) == [b"\x00a result"]
    assert redis_client.xlen("arena:battle:b1:log") == 1
    assert 0 < redis_client.ttl("arena:battle:b1:log") <= 3600
    assert not redis_client.exists("arena:limits:x")


def test_a_damaged_backup_changes_nothing_and_is_told_in_a_line(tmp_path: Path, stocked: dict[str, str]) -> None:
    assert backup(["create", "--into", str(tmp_path / "kept")], stocked).returncode == 0
    (file,) = (tmp_path / "kept").glob("*.tar.gz")
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    empty = {**stocked, "ARENA_DATA_DIR": str(tmp_path / "other")}
    back = backup(["restore", str(file)], empty)
    assert back.returncode == 1
    assert back.stderr.count("\n") == 1
    assert not (tmp_path / "other" / "arena.sqlite3").exists()
    listed = backup(["list", "--verify", "--into", str(tmp_path / "kept")], stocked)
    assert "1 of 1 are damaged" in listed.stderr


def test_a_database_with_battles_is_not_overwritten_unasked(running: Installed, visitor: Any, tmp_path: Path) -> None:
    """On the host, with the accounts of its own."""
    environment = Patient(running.root).environment("admin")
    visitor.visit()
    visitor.start("One more.")
    made = backup(["create", "--into", str(tmp_path)], environment)
    assert made.returncode == 0, made.stderr
    (file,) = tmp_path.glob("*.tar.gz")
    refused = backup(["restore", str(file)], environment)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "the arena is running" in refused.stderr
    refused = backup(["restore", "--while-running", "--no-redis", str(file)], environment)
    assert "--replace" in refused.stderr


def test_the_doctor_finds_a_host_in_order_and_says_what_is_not(
    running: Installed, capsys: pytest.CaptureFixture[str]
) -> None:
    patient = Patient(running.root)
    found = examine(patient)
    wrong = [f for f in found if f.level == "fail"]
    assert wrong == []
    assert {"store", "database", "ports", "permissions"} <= {f.name for f in found if f.level == "ok"}
    secret = running.host.etc / "web.env"
    secret.chmod(0o644)
    try:
        assert main(["--root", str(running.root), "--json"]) == 2
        told = json.loads(capsys.readouterr().out)
        (one,) = [f for f in told if f["level"] == "fail"]
        assert str(secret) in one["what"]
        assert one["fix"] == f"chown root: {secret} && chmod 600 {secret}"
    finally:
        secret.chmod(0o600)
