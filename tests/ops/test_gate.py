"""The gate in front of each program: it waits, becomes the program, and dies with its supervisor."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ops.gate import without_secret

GATE = (sys.executable, "-m", "ops.gate")


def gate(*arguments: str, redis: str = "", cwd: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "ARENA_REDIS_URL": redis}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([*GATE, *arguments], cwd=cwd, env=environment, text=True, **pipes)  # type: ignore[call-overload, no-any-return]


def test_it_becomes_the_program_once_redis_answers(redis_url: str, repo_root: Path) -> None:
    with gate("--redis", "--", "/bin/sh", "-c", "echo $$", redis=redis_url, cwd=repo_root) as process:
        said, _ = process.communicate(timeout=30)
        assert (process.returncode, int(said)) == (0, process.pid)


def test_it_gives_up_after_its_limit_without_showing_a_password(repo_root: Path) -> None:
    url = "redis://:hush@127.0.0.1:9/0"
    with gate("--redis", "--limit", "0.3", "--", "true", redis=url, cwd=repo_root) as process:
        _, error = process.communicate(timeout=30)
        assert process.returncode == 1
    assert "Redis at redis://***@127.0.0.1/0 does not answer" in error
    assert "hush" not in error


def test_a_program_that_is_not_there_is_named(repo_root: Path) -> None:
    with gate("--", "no-such-program", cwd=repo_root) as process:
        _, error = process.communicate(timeout=30)
        assert (process.returncode, error) == (
            1,
            "gate: no-such-program cannot be started: No such file or directory\n",
        )


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's part exists on Linux only")
@pytest.mark.parametrize("name", ["KILL", "TERM"])
def test_the_program_dies_when_its_parent_is_killed(name: str, repo_root: Path) -> None:
    child = f"{' '.join(GATE)} --die-with-parent {name} -- /bin/sh -c 'echo $$; exec sleep 600'"
    parent = subprocess.Popen(["/bin/sh", "-c", f"{child} & wait"], cwd=repo_root, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout as output:
        pid = int(output.readline())
        parent.send_signal(signal.SIGKILL)
        parent.wait(10)
        assert output.read() == "", "the pipe closes when the last process that holds it is gone"
    assert not Path(f"/proc/{pid}/environ").exists() or not Path(f"/proc/{pid}/cmdline").read_bytes()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:hush@host:6379/0", "redis://***@host/0"),
        ("unix:///run/redis.sock?db=0&password=hush", "unix:/run/redis.sock"),
        ("redis://host:6379/0", "redis://host:6379/0"),
    ],
)
def test_urls_are_shown_without_secrets(url: str, shown: str) -> None:
    assert without_secret(url) == shown
