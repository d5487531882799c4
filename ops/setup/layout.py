"""Where everything of one running arena lies: the data folder, its logs, and sockets whose paths must stay short."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ops.setup.console import SetupError

ROOT = Path(__file__).resolve().parent.parent.parent
"""The checkout."""

SOCKET_PATH_BYTES = 90
"""Kernels end a unix socket's path at 103 to 107 bytes; supervisor appends its process id while it binds."""

PLAIN = re.compile(r"[A-Za-z0-9._/-]+")
"""Paths that need no escaping inside a URL."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths of one data folder. Nothing is created before :meth:`create`."""

    data: Path

    @property
    def logs(self) -> Path:
        """One file per program, rotated by supervisor."""
        return self.data / "logs"

    @property
    def run(self) -> Path:
        """Generated configuration, the lock, and what is known of the running arena."""
        return self.data / "run"

    @property
    def state(self) -> Path:
        """JSON about the running arena: see :mod:`ops.setup.state`."""
        return self.run / "state.json"

    @property
    def redis(self) -> Path:
        """The embedded server's append-only file."""
        return self.data / "redis"

    @property
    def sockets(self) -> Path:
        """Folder for sockets: the run folder, or a short private one where that path is too long or too odd."""
        longest = os.fsencode(self.run / "supervisor.sock")
        if len(longest) <= SOCKET_PATH_BYTES and PLAIN.fullmatch(str(self.run)):
            return self.run
        digest = hashlib.sha256(os.fsencode(self.data)).hexdigest()[:12]
        for parent in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp"):  # noqa: S108  private, checked
            short = Path(parent or "/nonexistent", f"llm-arena-{os.getuid()}-{digest}")
            if (
                short.parent.is_dir()
                and len(os.fsencode(short)) <= SOCKET_PATH_BYTES - 20
                and PLAIN.fullmatch(str(short))
            ):
                return short
        raise SetupError(f"There is no folder short enough for a unix socket near {self.data}", "Use a shorter --data")

    @property
    def redis_socket(self) -> Path:
        """The embedded server listens here and nowhere else."""
        return self.sockets / "redis.sock"

    @property
    def supervisor_socket(self) -> Path:
        """Supervisor's own commands; only this user may connect."""
        return self.sockets / "supervisor.sock"

    def create(self) -> None:
        """Make the folders, for this user only. Raises SetupError where that is refused."""
        try:
            for folder in (self.data, self.logs, self.run, self.redis, self.sockets):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            owner = self.sockets.lstat()
            if owner.st_uid != os.getuid() or not stat.S_ISDIR(owner.st_mode):
                raise SetupError(f"{self.sockets} belongs to somebody else", "Remove it, or use another --data")
            probe = self.run / ".writable"
            probe.touch()
            probe.unlink()
        except OSError as error:
            reason = f"The data folder {self.data} cannot be used: {error.strerror}"
            raise SetupError(reason, "Choose a folder you may write to: --data DIR") from None

    def ended(self) -> None:
        """Nothing runs any more: forget the start, and remove what lies outside the data folder."""
        self.state.unlink(missing_ok=True)
        if self.sockets != self.run and self.sockets.is_dir():
            shutil.rmtree(self.sockets, ignore_errors=True)


def layout_of(data: str | None) -> Layout:
    """The layout of ``--data`` (relative to the caller's folder), or of ``data`` in the checkout."""
    return Layout(Path(data).absolute().resolve() if data else ROOT / "data")
