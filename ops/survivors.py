"""Ends the processes that a test run or a bench started when it is itself killed, and can no longer.

One watcher per run holds the other end of a pipe: each process that begins is told to it, each that ended is taken
back, and when the pipe closes, however the run ended, it kills what is left. The kernel's own parent-death signal will
not do: it is bound to the *thread* that started a process, and the chaos benches restart theirs from threads that end.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import threading
from typing import IO

_lock = threading.Lock()
_watcher: subprocess.Popen[str] | None = None


def begun(pid: int) -> None:
    """From here on the process and, if it leads a group, all of that end with this one."""
    _tell(f"+{pid}")


def ended(pid: int) -> None:
    """It was waited for, so that its number may be another's."""
    _tell(f"-{pid}")


def _tell(line: str) -> None:
    with _lock:
        pipe = _running().stdin
        assert pipe is not None
        print(line, file=pipe, flush=True)


def _running() -> subprocess.Popen[str]:
    global _watcher
    if _watcher is None:
        # In a session of its own: what is sent to this process's group, such as Ctrl-C, must not end it first.
        command = [sys.executable, "-S", __file__]
        _watcher = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, start_new_session=True)
        atexit.register(_watcher.communicate)
    return _watcher


def watch(told: IO[str]) -> None:
    """The watcher itself: read until nobody writes any more, then kill what was not taken back."""
    left: dict[int, None] = {}
    for line in told:
        sign, pid = line[0], int(line[1:])
        if sign == "+":
            left[pid] = None
        else:
            left.pop(pid, None)
    for pid in reversed(left):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getpgid(pid) == pid:
                os.killpg(pid, signal.SIGKILL)
            else:
                os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    watch(sys.stdin)
