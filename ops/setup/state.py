"""What is known of the arena running on a data folder: asked by a second `ops/up` and by `ops/down`."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from ops.setup.console import SetupError
from ops.setup.layout import ROOT, Layout

RUN_ID = "ARENA_RUN_ID"
"""Every process of one start is given this variable, so that none can be missed when it ends."""


@dataclass(frozen=True, slots=True)
class State:
    """One start: ``pid`` is supervisord's and the id of its session, ``run_id`` the mark of all its descendants."""

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
        return self.pid in self.processes() if Path("/proc/self").exists() else _exists(self.pid)

    def processes(self) -> set[int]:
        """Ids of all processes of this start. Empty on systems without /proc."""
        return marked(self.run_id) | _session(self.pid)


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


def _session(leader: int) -> set[int]:
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
    deadline = time.monotonic() + 10
    while processes() and time.monotonic() < deadline:
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
