"""Talks to supervisord: starts it, asks how its programs are, and ends it so that nothing stays behind."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import time
import xmlrpc.client
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ops.setup.console import Progress, SetupError
from ops.setup.layout import ROOT, Layout
from ops.setup.processes import sweep
from ops.setup.state import State
from ops.setup.venv import Venv

STOP_LIMIT_S = 120.0
"""Longest ordered stop: the sum of what each program may take, and some air."""


@dataclass(frozen=True, slots=True)
class ProgramState:
    """One program as supervisor sees it. ``started`` (epoch seconds) changes with every restart; ``pid`` may be 0."""

    name: str
    state: str
    started: int
    log: Path
    pid: int


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def start(
    conf: Path, layout: Layout, venv: Venv, environment: Mapping[str, str], detach: bool
) -> subprocess.Popen[bytes]:
    """Start supervisord in a session of its own, so that Ctrl-C reaches only us and the stop stays ordered.

    In the foreground it is told to stop when we die, however that happens.
    """
    command = [str(venv.python), "-m", "supervisor.supervisord", "--nodaemon", "--configuration", str(conf)]
    if not detach:
        command = [str(venv.python), "-m", "ops.gate", "--die-with-parent", "TERM", "--", *command]
    with (layout.logs / "supervisord.out").open("wb") as output:
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def program_states(layout: Layout) -> list[ProgramState] | None:
    """How every program is; None while supervisord does not answer."""
    connection = _UnixConnection(str(layout.supervisor_socket))
    try:
        connection.request("POST", "/RPC2", xmlrpc.client.dumps((), "supervisor.getAllProcessInfo"))
        (answer,), _ = xmlrpc.client.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, xmlrpc.client.Error):
        return None
    finally:
        connection.close()
    assert isinstance(answer, list)
    return [
        ProgramState(p["name"], p["statename"], int(p["start"]), Path(p["stdout_logfile"]), int(p["pid"]))
        for p in answer
    ]


def stop(state: State) -> None:
    """End one start: web first, the store last; then look for anything left. Raises SetupError if something stays."""
    if state.alive:
        with suppress(ProcessLookupError):
            os.kill(state.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_LIMIT_S
    while state.alive and time.monotonic() < deadline:
        Progress.show(f"stopping, {len(state.processes())} processes left")
        _reap(state.pid)
        time.sleep(0.1)
    _reap(state.pid)
    sweep(state.processes)
    Progress.clear()
    if left := len(state.processes()):
        raise SetupError(f"{left} processes would not end", "See: ps -ef | grep ops.gate")


def _reap(pid: int) -> None:
    """Where supervisord is our own child, its zombie would look alive on systems without /proc."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
