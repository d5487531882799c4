"""``./ops/up`` for real, with stand-ins: ready means ready, what dies comes back, and the end leaves nothing."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from ops.setup import state, supervise
from ops.setup.layout import Layout
from ops.setup.processes import sweep

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc to see every process")
T = TypeVar("T")
LIMIT_S = 90.0


def until(ask: Callable[[], T], what: str) -> T:
    """The first truthy answer of ``ask``."""
    deadline = time.monotonic() + LIMIT_S
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"waited too long until {what}"
        time.sleep(0.1)
    return answer


class Arena:
    """One arena on a data folder and a free port, driven through the commands a person uses."""

    def __init__(self, root: Path, data: Path) -> None:
        self.root, self.data = root, data
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        self.environment = {n: v for n, v in os.environ.items() if not n.startswith("ARENA_")}

    def command(self, *options: str) -> list[str]:
        catalog = self.root / "ops" / "catalogs" / "echo.toml"
        common = ["--catalog", str(catalog), "--port", str(self.port), "--data", str(self.data)]
        return [str(self.root / "ops" / "up"), *common, *options]

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """The command to its end. Output through a file: what stays running must not hold a pipe open."""
        log = self.data.parent / "command.log"
        with log.open("w") as output:
            done = subprocess.run(command, stdout=output, stderr=output, env=self.environment, check=False, timeout=300)
        return subprocess.CompletedProcess(command, done.returncode, log.read_text(), "")

    def up(self) -> subprocess.CompletedProcess[str]:
        return self.run(*self.command("--detach"))

    def down(self) -> subprocess.CompletedProcess[str]:
        return self.run(str(self.root / "ops" / "down"), "--data", str(self.data))

    @property
    def layout(self) -> Layout:
        return Layout(self.data)

    @property
    def state(self) -> state.State:
        known = state.load(self.layout)
        assert known is not None
        return known

    def status(self, path: str) -> int:
        try:
            with urllib.request.urlopen(self.url + path, timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        except OSError:
            return 0

    def pid_of(self, program: str) -> int:
        """The id of the process that runs as ``program``, or 0 while there is none."""
        return next((p.pid for p in supervise.program_states(self.layout) or [] if p.name == program), 0)


@pytest.fixture
def arena(repo_root: Path, tmp_path: Path) -> Iterator[Arena]:
    one = Arena(repo_root, tmp_path / "data")
    yield one
    known = state.load(one.layout)
    one.down()
    if known is not None:
        sweep(known.processes)


def test_ready_means_that_a_battle_can_be_started(arena: Arena) -> None:
    done = arena.up()
    assert done.returncode == 0, done.stdout
    assert f"The arena is open: {arena.url}" in done.stdout
    assert arena.status("ready") == 200
    request = urllib.request.Request(
        f"{arena.url}api/battles",
        data=json.dumps({"prompt": "Which is larger, 9.11 or 9.9?"}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 202

    again = arena.up()
    assert again.returncode == 0
    assert f"Already running at {arena.url}" in again.stdout

    started = arena.state
    assert len(started.processes()) >= 6
    assert arena.down().returncode == 0
    assert started.processes() == set()
    assert arena.status("ready") == 0
    assert "Nothing is running" in arena.down().stdout


def test_whatever_dies_comes_back_and_a_battle_can_be_started_again(arena: Arena) -> None:
    assert arena.up().returncode == 0
    for program in ("web", "worker", "records", "redis"):
        first = arena.pid_of(program)
        assert first > 0
        os.kill(first, signal.SIGKILL)
        until(lambda p=program, f=first: arena.pid_of(p) not in (0, f), f"{program} is back")
    until(lambda: arena.status("ready") == 200, "the arena is ready again")


def test_killing_the_supervisor_leaves_nothing_and_the_next_start_works(arena: Arena) -> None:
    assert arena.up().returncode == 0
    first = arena.state
    os.kill(first.pid, signal.SIGKILL)
    until(lambda: not first.processes(), "the kernel has ended the programs")
    assert arena.up().returncode == 0
    assert arena.status("ready") == 200


def test_ctrl_c_stops_everything_in_order(arena: Arena, tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as output:
        process = subprocess.Popen(arena.command(), stdout=output, stderr=output, env=arena.environment)
    until(lambda: "The arena is open" in (tmp_path / "out").read_text(), "it is open")
    started = arena.state
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    assert started.processes() == set()
    assert (tmp_path / "out").read_text().endswith("Stopping ...\nStopped.\n")
    stops = re.findall(r"stopped: (\w+)", (arena.layout.logs / "supervisord.log").read_text())
    assert stops == ["web", "worker", "records", "redis"]


def test_killing_the_foreground_command_ends_the_arena(arena: Arena, tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as output:
        process = subprocess.Popen(arena.command(), stdout=output, stderr=output, env=arena.environment)
    until(lambda: "The arena is open" in (tmp_path / "out").read_text(), "it is open")
    started = arena.state
    process.kill()
    process.wait()
    until(lambda: not started.processes(), "supervisord has stopped everything")


def test_a_taken_port_is_refused_before_anything_starts(arena: Arena) -> None:
    with socket.create_server(("127.0.0.1", arena.port)):
        done = arena.up()
    assert done.returncode == 1
    assert f"Port {arena.port} is taken" in done.stdout
    assert supervise.program_states(arena.layout) is None
