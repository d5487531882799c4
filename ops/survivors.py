"""Ends the processes that a test run or a bench started when it is itself killed, and can no longer.

One watcher per run, there as long as there is something to watch, holds the other end of a pipe: each process that
begins is told to it, each that ended is taken back, and when the pipe closes it kills what is left. The kernel's own
parent-death signal will not do: it is bound to the *thread* that started a process, and the chaos benches restart
theirs from threads that end.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from typing import IO

_lock = threading.Lock()
_OVER = "over"
"""Said instead of closing the pipe, which a forked child may hold open as well."""
_watcher: subprocess.Popen[str] | None = None
_living: set[int] = set()


def begun(pid: int) -> None:
    """From here on the process and, if it leads a group, all of that end with this one."""
    with _lock:
        _living.add(pid)
        _tell(f"+{pid}")


def ended(pid: int) -> None:
    """It was waited for, so that its number may be another's. Twice is as good as once."""
    global _watcher
    with _lock:
        if pid not in _living:
            return
        _living.remove(pid)
        _tell(f"-{pid}")
        if _watcher is not None and not _living:
            _tell(_OVER)
            _watcher.communicate()
            _watcher = None


def _tell(line: str) -> None:
    global _watcher
    if _watcher is None:
        # In a session of its own: what is sent to this process's group, such as Ctrl-C, must not end it first.
        command = [sys.executable, "-S", __file__]
        _watcher = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, start_new_session=True)
    assert _watcher.stdin is not None
    print(line, file=_watcher.stdin, flush=True)


def watch(told: IO[str]) -> None:
    """The watcher itself: read until nobody writes any more, then kill what was not taken back."""
    left: dict[int, None] = {}
    for line in told:
        if line.strip() == _OVER:
            return
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
