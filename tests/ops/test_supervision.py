"""A real supervisord with small programs: order, restarts, and an end that leaves no process, however it comes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from ops.setup import readiness, state, supervise
from ops.setup.console import SetupError
from ops.setup.layout import Layout
from ops.setup.processes import RUN_ID, sweep
from ops.setup.programs import Program, configuration, programs, redis_command
from ops.setup.venv import Venv

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc to see every process")
LIMIT_S = 30.0
T = TypeVar("T")


def until(ask: Callable[[], T], what: str) -> T:
    """The first truthy answer of ``ask``."""
    deadline = time.monotonic() + LIMIT_S
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"waited too long until {what}"
        time.sleep(0.02)
    return answer


class Started:
    """One supervisord with the given shell scripts as programs, in order of their names."""

    def __init__(self, layout: Layout, **scripts: str) -> None:
        self.layout = layout
        self.venv = Venv(Path(sys.prefix))
        wanted = [
            Program(name, ("/bin/sh", "-c", script), priority, needs_redis=False, stop_wait_s=5)
            for priority, (name, script) in enumerate(scripts.items())
        ]
        layout.create()
        conf = layout.run / "supervisord.conf"
        conf.write_text(configuration(wanted, layout, self.venv))
        run_id = uuid.uuid4().hex
        self.process = supervise.start(conf, layout, self.venv, {**os.environ, RUN_ID: run_id}, detach=True)
        self.state = state.State(self.process.pid, run_id, "http://127.0.0.1:1/", "none.toml")
        self.state.save(layout)

    def program(self, name: str) -> supervise.ProgramState | None:
        return next((p for p in supervise.program_states(self.layout) or [] if p.name == name), None)

    def pid_of(self, name: str) -> int:
        """From the program's first line of output."""
        log = self.layout.logs / f"{name}.log"
        text = until(lambda: log.exists() and log.read_text().endswith("\n") and log.read_text(), f"{name} speaks")
        assert isinstance(text, str)
        return int(text.split()[-1])


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Started]]:
    began: list[Started] = []

    def begin(**scripts: str) -> Started:
        began.append(Started(Layout(tmp_path / "data"), **scripts))
        return began[-1]

    yield begin
    for one in began:
        one.process.kill()
        one.process.wait()
        sweep(one.state.processes)


STAY = "echo $$; exec sleep 600"


def test_a_killed_program_is_started_again(start: Callable[..., Started]) -> None:
    arena = start(steady=STAY)
    first = arena.pid_of("steady")
    os.kill(first, signal.SIGKILL)
    until(lambda: arena.pid_of("steady") != first, "the program is back")


def test_programs_stop_one_after_another_the_last_one_first(start: Callable[..., Started], tmp_path: Path) -> None:
    order = tmp_path / "order"
    script = "trap 'echo {0} >>" + str(order) + "; exit' TERM; echo $$; while :; do sleep 0.05; done"
    arena = start(store=script.format("store"), web=script.format("web"))
    arena.pid_of("store"), arena.pid_of("web")
    supervise.stop(arena.state)
    assert order.read_text().split() == ["web", "store"]
    assert arena.state.processes() == set()


def test_stop_ends_programs_that_ignore_it_with_their_children(start: Callable[..., Started]) -> None:
    arena = start(stubborn="trap '' TERM; echo $$; sleep 600 & sleep 601")
    arena.pid_of("stubborn")
    supervise.stop(arena.state)
    assert arena.state.processes() == set()


def test_killing_the_supervisor_leaves_nothing(start: Callable[..., Started]) -> None:
    arena = start(steady=STAY, other=STAY)
    arena.pid_of("steady"), arena.pid_of("other")
    arena.process.kill()
    arena.process.wait()
    until(lambda: not arena.state.processes(), "the kernel has ended the programs")


def test_a_program_that_keeps_failing_is_named_with_the_end_of_its_log(start: Callable[..., Started]) -> None:
    arena = start(steady=STAY, web="echo the reason; exit 3")
    with pytest.raises(SetupError, match=r"'web' keeps failing(.|\n)*the reason") as caught:
        readiness.wait(arena.state.url, arena.layout, lambda: arena.process.poll() is None)
    assert "--port" in caught.value.fix


def test_a_supervisor_that_ends_is_reported(start: Callable[..., Started]) -> None:
    arena = start(steady=STAY)
    arena.process.kill()
    arena.process.wait()
    with pytest.raises(SetupError, match="supervisor ended"):
        readiness.wait(arena.state.url, arena.layout, lambda: arena.process.poll() is None)


def test_state_knows_whether_it_still_runs(start: Callable[..., Started]) -> None:
    arena = start(steady=STAY)
    known = state.load(arena.layout)
    assert known == arena.state
    assert known.alive
    supervise.stop(known)
    assert not known.alive


def test_only_one_set_up_works_on_a_data_folder(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "data")
    with (
        state.only_one(layout),
        pytest.raises(SetupError, match=r"Another ./ops/up is setting up"),
        state.only_one(layout),
    ):
        pass


def test_supervisor_understands_the_real_configuration(tmp_path: Path) -> None:
    from supervisor.options import ServerOptions

    layout = Layout(tmp_path / "per%cent")
    layout.create()
    venv = Venv(Path(sys.prefix))
    conf = layout.run / "supervisord.conf"
    conf.write_text(configuration(programs(layout, venv, Path("/usr/bin/redis-server"), {}), layout, venv))
    options = ServerOptions()
    options.realize(["-c", str(conf)], doc="")
    found = {config.name: config.process_configs[0] for config in options.process_group_configs}
    assert list(found) == ["redis", "records", "worker", "web"]
    assert found["web"].command.endswith(
        "-- " + f"{venv.python} -m gunicorn -c ops/gunicorn.conf.py 'web:create_app()'"
    )
    assert "-P threads -c 128 -Q battles" in found["worker"].command
    assert all(config.autorestart for config in found.values())
    assert str(tmp_path / "per%cent") in found["redis"].command
    assert options.serverurl.startswith("unix://")
    layout.sockets.rmdir()


def test_a_named_redis_is_not_started_here(tmp_path: Path) -> None:
    names = [p.name for p in programs(Layout(tmp_path), Venv(), None, {"ARENA_THREADS": "7"})]
    assert names == ["records", "worker", "web"]


def test_the_embedded_server_keeps_its_data_and_listens_on_no_port(tmp_path: Path) -> None:
    command = " ".join(redis_command(Path("redis-server"), Layout(tmp_path)))
    for option in ("--port 0", "--appendonly yes", "--appendfsync everysec", "--maxmemory-policy noeviction"):
        assert option in command


def test_an_orphan_that_hides_its_environment_is_still_found_and_ended() -> None:
    script = "from ops.setup.processes import *\nimport os, subprocess, sys\nadopt_orphans()\n"
    script += "status = run_reaping(['/bin/sh', '-c', 'setsid env -i sleep 600 & exit 7'], Path('.'), os.environ)\n"
    script += "print(status, sweep(descendants), len(descendants()))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.split() == ["7", "1", "0"]
