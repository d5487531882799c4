"""Real processes for benches and tests: started, watched, killed, and gone when all is over."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ops import survivors
from ops.bench.arena import ROOT


class Process:
    """A subprocess with its log kept for failures; it does not outlive this process, even a killed one."""

    def __init__(self, name: str, command: Sequence[str], env: Mapping[str, str], log_dir: Path) -> None:
        self.name = name
        self.command = list(command)
        self.env = {**os.environ, **env}
        self.log = log_dir / f"{name}.log"
        self._popen: subprocess.Popen[bytes] | None = None

    def start(self) -> Process:
        self._forget()
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                self.command, env=self.env, cwd=ROOT, stdout=log, stderr=log, start_new_session=True
            )
        survivors.begun(self._popen.pid)
        return self

    def _forget(self) -> None:
        if self._popen is not None:
            survivors.ended(self._popen.pid)

    @property
    def pid(self) -> int:
        assert self._popen is not None
        return self._popen.pid

    @property
    def running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    def text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def signal(self, number: int) -> None:
        assert self._popen is not None
        self._popen.send_signal(number)

    def wait(self, timeout: float = 30) -> int:
        assert self._popen is not None
        return self._popen.wait(timeout)

    def kill(self) -> None:
        """SIGKILL to it and all it started; returns when it is gone."""
        assert self._popen is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait(10)
        self._forget()

    def stop(self, timeout: float = 30) -> None:
        """SIGTERM, then SIGKILL of the whole session."""
        if self._popen is None:
            return
        if self.running:
            self.signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(timeout)
        self.kill()


def wait_for(what: str, condition: Callable[[], Any], timeout: float = 60, process: Process | None = None) -> Any:
    """Poll until ``condition()`` is true; for state that has no event to wait on, such as a process coming up."""
    deadline = time.monotonic() + timeout
    while True:
        if value := condition():
            return value
        if process is not None and not process.running:
            raise AssertionError(f"{process.name} ended while waiting for {what}:\n{process.text()[-4000:]}")
        if time.monotonic() > deadline:
            log = f":\n{process.text()[-4000:]}" if process is not None else ""
            raise AssertionError(f"waited {timeout:.0f} s for {what}{log}")
        time.sleep(0.05)
