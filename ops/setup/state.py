"""What is known of the arena running on a data folder: asked by a second `ops/up` and by `ops/down`."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from ops.setup.console import SetupError
from ops.setup.layout import Layout
from ops.setup.processes import marked, of_session


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
        return marked(self.run_id) | of_session(self.pid)


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


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
