"""A web process that is told nonsense, or is not fit for the public, does not start and says why in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import ROOT, free_port
from tests.sockets import web_process

SECRET = "k3-" + "Zx8_qW2pL9vN4tR7" * 3


def fit(folder: Path) -> dict[str, str]:
    """What a public arena sets."""
    key = folder / "key"
    key.write_text(SECRET + "\n")
    return {
        "ARENA_PRODUCTION": "1",
        "ARENA_SECRET_KEY_FILE": str(key),
        "ARENA_HOSTS": "arena.example",
        "ARENA_TRUSTED_PROXIES": "127.0.0.1/32",
        "ARENA_ORIGINS": "https://arena.example",
        "ARENA_LIMITS": "on",
    }


def base(folder: Path) -> dict[str, str]:
    kept = {n: v for n, v in os.environ.items() if not n.startswith("ARENA_")}
    return {**kept, "ARENA_DATA_DIR": str(folder), "ARENA_CATALOG": str(ROOT / "ops/catalogs/echo.toml")}


WRONG = {
    "secret": ({"ARENA_SECRET_KEY": "changeme"}, "the key in ARENA_SECRET_KEY is shorter than 32 characters"),
    "number": ({"ARENA_PROMPTS_PER_MINUTE": "-3"}, "ARENA_PROMPTS_PER_MINUTE: Input should be greater than or equal"),
    "guard": ({"ARENA_CHALLENGE": "nowhere:guard"}, "ARENA_CHALLENGE=nowhere:guard: No module named 'nowhere'"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_flask_says_in_one_line_what_to_change(tmp_path: Path, wrong: str) -> None:
    change, said = WRONG[wrong]
    command = [sys.executable, "-m", "flask", "--app", "web", "migrate"]
    env = {**base(tmp_path), **fit(tmp_path), **change}
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert "changeme" not in done.stderr, "what was given is not repeated"


@pytest.mark.parametrize("wrong", WRONG)
def test_gunicorn_stops_and_says_the_same(tmp_path: Path, wrong: str) -> None:
    change, said = WRONG[wrong]
    env = {**base(tmp_path), **fit(tmp_path), **change, "ARENA_BIND": f"127.0.0.1:{free_port()}"}
    command = [sys.executable, "-m", "gunicorn", "-c", "ops/gunicorn.conf.py", "web:create_app()"]
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("Error: ") and said in line]


def test_what_is_fit_starts(redis_url: str, tmp_path: Path) -> None:
    with web_process(redis_url, tmp_path, **fit(tmp_path)) as web:
        assert web.healthy


def test_on_a_laptop_nothing_of_this_is_needed(redis_url: str, tmp_path: Path) -> None:
    with web_process(redis_url, tmp_path) as web:
        assert web.healthy
    assert len((tmp_path / "secret_key").read_text()) == 64
