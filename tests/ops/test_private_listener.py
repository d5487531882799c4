"""Where gunicorn listens for the arena's own machines, and what is said when it cannot."""

from __future__ import annotations

import runpy
import socket
from pathlib import Path
from typing import Any

import pytest

from ops.setup import checks
from ops.setup.console import SetupError


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, ["127.0.0.1:5000"]),
        ({"ARENA_PRIVATE_PORT": "8123"}, ["127.0.0.1:5000", "127.0.0.1:8123"]),
        ({"ARENA_PRIVATE_PORT": "8123", "ARENA_PRIVATE_HOST": "10.0.0.7"}, ["127.0.0.1:5000", "10.0.0.7:8123"]),
        ({"ARENA_PRIVATE_PORT": "8123", "ARENA_PRIVATE_HOST": "::1"}, ["127.0.0.1:5000", "[::1]:8123"]),
        ({"ARENA_PRIVATE_PORT": "8123", "ARENA_BIND": "0.0.0.0:80, 10.0.0.7:8123"}, ["0.0.0.0:80", "10.0.0.7:8123"]),
        ({"ARENA_PRODUCTION": "1"}, ["127.0.0.1:5000", "127.0.0.1:8000"]),
        ({"ARENA_PRODUCTION": "1", "ARENA_PRIVATE_PORT": "0"}, ["127.0.0.1:5000"]),
        ({"ARENA_PRIVATE_PORT": "many"}, ["127.0.0.1:5000"]),
    ],
)
def test_the_private_listener_is_where_it_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, repo_root: Path, settings: dict[str, str], expected: list[str]
) -> None:
    for name in ("ARENA_BIND", "ARENA_PRIVATE_PORT", "ARENA_PRIVATE_HOST", "ARENA_PRODUCTION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    conf: dict[str, Any] = runpy.run_path(str(repo_root / "ops/gunicorn.conf.py"))
    assert conf["bind"] == expected


def test_a_taken_private_port_is_said_before_anything_is_done() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with pytest.raises(SetupError, match=rf"private listener cannot have 127\.0\.0\.1:{port}"):
            checks.free_private_port({"ARENA_PRIVATE_PORT": port})
    checks.free_private_port({"ARENA_PRIVATE_PORT": port})
    checks.free_private_port({})
