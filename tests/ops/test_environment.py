"""The programs' environment: what the caller set stays, what the options decide wins."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ops.setup.environment import Options, assemble, redis_server
from ops.setup.layout import Layout
from ops.setup.processes import RUN_ID
from ops.setup.venv import Venv


def made(tmp_path: Path, **caller: str) -> dict[str, str]:
    options = Options("127.0.0.1", 5001, tmp_path / "mine.toml", detach=True)
    return assemble(options, Layout(tmp_path / "data"), Venv(tmp_path / ".venv"), caller)


def test_a_bare_caller_gets_an_embedded_arena(tmp_path: Path) -> None:
    environment = made(tmp_path, PATH="/usr/bin")
    assert environment["ARENA_REDIS_URL"] == f"unix://{Layout(tmp_path / 'data').redis_socket}?db=0"
    assert environment["ARENA_DATA_DIR"] == str(tmp_path / "data")
    assert environment["ARENA_CATALOG"] == str(tmp_path / "mine.toml")
    assert environment["ARENA_BIND"] == "127.0.0.1:5001"
    assert environment["PATH"] == f"{tmp_path}/.venv/bin:/usr/bin"
    assert len(environment[RUN_ID]) == 32


def test_the_callers_settings_stay(tmp_path: Path) -> None:
    environment = made(tmp_path, ARENA_REDIS_URL="redis://there", ARENA_DATABASE_URL="postgresql://db", HF_TOKEN="t")
    assert environment["ARENA_REDIS_URL"] == "redis://there"
    assert environment["ARENA_DATABASE_URL"] == "postgresql://db"
    assert environment["HF_TOKEN"] == "t"


def test_an_empty_setting_counts_as_none(tmp_path: Path) -> None:
    assert made(tmp_path, ARENA_REDIS_URL="")["ARENA_REDIS_URL"].startswith("unix://")


def test_foreign_python_settings_do_not_reach_the_programs(tmp_path: Path) -> None:
    assert "PYTHONPATH" not in made(tmp_path, PYTHONPATH="/somewhere")


@pytest.mark.parametrize(
    ("host", "url", "bind"),
    [
        ("127.0.0.1", "http://127.0.0.1:5001/", "127.0.0.1:5001"),
        ("0.0.0.0", "http://127.0.0.1:5001/", "0.0.0.0:5001"),
        ("::1", "http://[::1]:5001/", "[::1]:5001"),
        ("arena.example", "http://arena.example:5001/", "arena.example:5001"),
    ],
)
def test_addresses(host: str, url: str, bind: str, tmp_path: Path) -> None:
    options = Options(host, 5001, tmp_path, detach=False)
    assert (options.url, options.bind) == (url, bind)


def server(folder: Path, name: str, version: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho 'Server v={version} sha=0'\n")
    path.chmod(0o755)
    return path


def test_a_named_redis_wins(tmp_path: Path) -> None:
    assert redis_server(Venv(tmp_path), {"ARENA_REDIS_URL": "redis://there"}) is None


def test_a_server_on_path_wins_over_the_wheel(tmp_path: Path) -> None:
    found = server(tmp_path / "bin", "redis-server", "7.2.4")
    assert redis_server(Venv(Path(sys.prefix)), {"PATH": str(found.parent)}) == found


def test_a_server_too_old_is_passed_over(tmp_path: Path) -> None:
    old = server(tmp_path / "bin", "redis-server", "5.0.3")
    found = redis_server(Venv(Path(sys.prefix)), {"PATH": str(old.parent)})
    assert found is not None
    assert found.name == "valkey-server"
