"""Engine processes of a worker that died: written down when they start, ended when the next worker does.

An engine's own watcher (see orphans.py) ends it with its worker. A watcher can fail: its process was stopped, or stuck
in a driver. So each engine process leaves a small file naming itself and its worker; a starting worker kills what is
named there and still lives although its worker does not. A process is known by its number *and* its start time, so
that a stranger who got the number since is never touched.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import signal
import stat
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

END_S = 5.0
"""How long a killed process may take to be gone. Longer means it hangs in the kernel, and nobody can end it."""


@dataclass(frozen=True, slots=True)
class Identity:
    """One process, for ever. ``started`` is in clock ticks since ``boot``; ``space`` is where ``pid`` counts."""

    pid: int
    started: int
    boot: str
    space: str

    @property
    def alive(self) -> bool:
        """False for a zombie too: it holds nothing any more."""
        return identity(self.pid) == self


def identity(pid: int) -> Identity | None:
    """The process that has this number now; None when there is none, and where there is no ``/proc``."""
    proc = Path("/proc")
    try:
        # The name, in brackets, may itself contain anything.
        state, *rest = (proc / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
        boot = (proc / "sys/kernel/random/boot_id").read_text().strip()
        space = str((proc / "self/ns/pid").readlink())
    except (OSError, ValueError):
        return None
    return None if state in b"ZX" else Identity(pid, int(rest[18]), boot, space)


def run_folder() -> Path:
    """Where the files are: one folder per user, which nobody else can write to. Raises OSError when it is not ours."""
    top = Path(tempfile.gettempdir()) / f"llm-arena-{os.getuid()}"
    for folder in (top, top / "engines"):
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise PermissionError(f"{folder} belongs to somebody else or is open to others: remove it")
    return top / "engines"


def record(owner: Identity) -> None:
    """Write down that this process serves ``owner``. Never raises: an engine without a file is still an engine."""
    me = identity(os.getpid())
    if me is None:
        return
    try:
        file = run_folder() / f"{me.pid}.json"
        _tidy(file.parent, me)
        draft = file.with_suffix(f".{me.pid}.new")
        draft.write_text(json.dumps({"engine": asdict(me), "owner": asdict(owner)}))
        draft.replace(file)  # a reader never sees half a file
    except OSError as error:
        log.warning("this engine process cannot be written down: %s", error)


def _tidy(folder: Path, me: Identity) -> None:
    """Remove what engines left that were killed: they had no time to."""
    for file in folder.glob("*.json"):
        written = _read(file)
        if written is None or (written[0].space == me.space and not written[0].alive):
            file.unlink(missing_ok=True)


def forget() -> None:
    """Remove this process's file; the last thing an engine process does."""
    with contextlib.suppress(OSError):
        (run_folder() / f"{os.getpid()}.json").unlink(missing_ok=True)


def reap() -> list[int]:
    """Kill every engine process whose worker is gone; the numbers of those killed. Never raises.

    Called when a worker starts, before its first engine. Takes up to ``END_S`` for each.
    """
    try:
        files = sorted(run_folder().glob("*.json"))
    except OSError as error:
        log.warning("strays of a former worker are not looked for: %s", error)
        return []
    me = identity(os.getpid())
    return [pid for file in files if me is not None and (pid := _reap(file, me)) is not None]


def _read(file: Path) -> tuple[Identity, Identity] | None:
    """Engine and owner; None when the file is gone or says something else."""
    try:
        found: Any = json.loads(file.read_text())
        return Identity(**found["engine"]), Identity(**found["owner"])
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _reap(file: Path, me: Identity) -> int | None:
    written = _read(file)
    if written is None:
        file.unlink(missing_ok=True)
        return None
    engine, owner = written
    if engine.boot == me.boot and engine.space != me.space:
        return None  # numbers of another container: not ours to judge
    if engine.alive and owner.alive:
        return None
    killed = _kill(engine)
    if not engine.alive:
        file.unlink(missing_ok=True)
    return engine.pid if killed else None


def _kill(engine: Identity) -> bool:
    """Whether it was there to be killed."""
    try:
        fd = os.pidfd_open(engine.pid)
    except OSError:
        return False
    try:
        if not engine.alive:  # looked at only now: from here on the descriptor means this very process
            return False
        signal.pidfd_send_signal(fd, signal.SIGKILL)
        ended = bool(select.select([fd], [], [], END_S)[0])
    except OSError as error:
        log.warning("engine process %d of a former worker cannot be killed: %s", engine.pid, error)
        return False
    finally:
        os.close(fd)
    if ended:
        log.warning("killed engine process %d: its worker had gone without it", engine.pid)
    else:
        log.error("engine process %d of a former worker does not end; its memory is not free", engine.pid)
    return ended
