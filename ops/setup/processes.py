"""Finds the processes of one start or one test run, so that none is left at its end. Linux; elsewhere it sees none."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType

from ops.setup.layout import ROOT

RUN_ID = "ARENA_RUN_ID"
"""Every process of one start is given this variable, so that none can be missed when it ends."""

PR_SET_CHILD_SUBREAPER = 36


class Interrupts:
    """Turns SIGTERM and SIGHUP into KeyboardInterrupt, so that every way of being stopped is the ordered one."""

    def __enter__(self) -> None:
        self.before = {s: signal.signal(s, self._raise) for s in (signal.SIGTERM, signal.SIGHUP)}

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    @staticmethod
    def _raise(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt


def marked(run_id: str) -> set[int]:
    """Ids of all processes that carry that mark in their environment; zombies have none.

    A program that writes a title for itself (Celery, gunicorn, Valkey) wipes what the kernel shows of its environment.
    """
    mark = f"{RUN_ID}={run_id}".encode()
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                found.add(int(entry.name))
    return found


def of_session(leader: int) -> set[int]:
    """Living processes of the session that supervisord began, as far as they stand in this checkout or its data.

    The last condition keeps off a stranger that was given the same number long after all of ours were gone.
    """
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            # After the name in brackets: state, parent, group, session.
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == leader and fields[0] != "Z" and _ours((entry / "cwd").resolve(strict=True)):
                found.add(int(entry.name))
    return found


def _ours(folder: Path) -> bool:
    return folder.is_relative_to(ROOT) or (folder / "appendonlydir").exists() or folder.name == "redis"


def sweep(processes: Callable[[], set[int]]) -> int:
    """Kill what is left of something that has ended. Returns how many processes were left."""
    left = processes()
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    still_there(processes, 10.0)
    return len(left)


def still_there(processes: Callable[[], set[int]], limit_s: float) -> set[int]:
    """Wait until there are none, at most ``limit_s``; those that stay."""
    deadline = time.monotonic() + limit_s
    while (left := processes()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def adopt_orphans() -> None:
    """From now on a descendant whose parent ends becomes our child, and so can be found whatever it calls itself."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def descendants() -> set[int]:
    """Ids of all living processes below this one."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if fields[0] != "Z":
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    found: set[int] = set()
    todo = [os.getpid()]
    while todo:
        below = children.get(todo.pop(), [])
        found.update(below)
        todo += below
    return found


def name_of(pid: int) -> str:
    """The beginning of its command line or title; ``?`` once it is gone."""
    with suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        return words[:80] or "?"
    return "?"


def run_reaping(command: list[str], cwd: Path, environment: Mapping[str, str]) -> int:
    """Run to the end, collecting adopted orphans meanwhile: a test may wait for one of them to be gone."""
    process = subprocess.Popen(command, cwd=cwd, env=dict(environment))
    try:
        while True:
            pid, status = os.wait()
            if pid == process.pid:
                process.returncode = os.waitstatus_to_exitcode(status)
                return process.returncode
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        process.wait()
        raise
