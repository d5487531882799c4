"""What is known of the arena running on a data folder: asked by a second `ops/up` and by `ops/down`."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from ops.setup.console import SetupError
from ops.setup.layout import Layout

RUN_ID = "ARENA_RUN_ID"
"""Every process of one start carries this variable, so that none can be missed when it ends."""


@dataclass(frozen=True, slots=True)
class State:
    """One start: ``pid`` is supervisord's, ``run_id`` the mark of all its descendants."""

    pid: int
    run_id: str
    url: str
    catalog: str

    def save(self, layout: Layout) -> None:
        """Written whole or not at all."""
        fresh = layout.state.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(self)))
        fresh.replace(layout.state)

    @property
    def alive(self) -> bool:
        """Whether its supervisord still runs (and the pid was not given to another process)."""
        return self.pid in marked(self.run_id) if Path("/proc/self").exists() else _exists(self.pid)


def load(layout: Layout) -> State | None:
    """The last start on this folder, running or not."""
    try:
        return State(**json.loads(layout.state.read_text()))
    except (OSError, ValueError, TypeError):
        return None


@contextmanager
def only_one(layout: Layout) -> Iterator[None]:
    """Held while an `ops/up` works on this folder. Raises SetupError when another one does."""
    layout.create()
    with (layout.run / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            fix = "Wait for it, or use another --data"
            raise SetupError(f"Another ./ops/up is setting up {layout.data}", fix) from None
        yield


def marked(run_id: str) -> set[int]:
    """Ids of all processes that carry that mark in their environment; zombies have none."""
    mark = f"{RUN_ID}={run_id}".encode()
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                found.add(int(entry.name))
    return found


def sweep(run_id: str) -> int:
    """Kill what is left of a start whose supervisord is gone. Returns how many processes were left."""
    left = marked(run_id)
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while marked(run_id) and time.monotonic() < deadline:
        time.sleep(0.05)
    return len(left)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
