"""A private PostgreSQL for one test run: its own folder, a unix socket, no port, gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ops import survivors
from ops.setup.console import SetupError

START_LIMIT_S = 60.0
ROLE = "arena"
_LEFT_OVER = "is still in use"
"""What a server says of processes of the one before, which end by themselves."""


def binaries() -> Path | None:
    """The folder of initdb and postgres: Debian's newest, else PATH's; None where there is none."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: float(p.parts[-3]))
    found = debian[-1] if debian else shutil.which("initdb")
    return Path(found).resolve().parent if found else None


class PrivateServer:
    """A server in ``home``, the only one there. Raises SetupError where it cannot be made or does not start."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.url = f"postgresql+psycopg://{ROLE}@/postgres?host={home}"
        """For SQLAlchemy; the role may create databases."""
        self._folder = folder
        self._home = home
        user = _unprivileged()
        self._who: dict[str, Any] = {}
        if user is not None:
            os.chown(home, user.pw_uid, user.pw_gid)
            self._who = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        self._server: subprocess.Popen[str]
        made = subprocess.run(
            [folder / "initdb", "-D", home / "data", "-A", "trust", "-U", ROLE, "-E", "UTF8", "--locale=C.UTF-8",
             "--no-sync"], cwd=home, capture_output=True, text=True, check=False, **self._who,
        )  # fmt: skip
        if made.returncode:
            raise SetupError(f"initdb failed:\n{made.stdout}{made.stderr}", "Look at the installed PostgreSQL")
        self.start()

    def start(self) -> None:
        """Returns when it takes connections; after a kill that is when the killed one's last process has gone."""
        deadline = time.monotonic() + START_LIMIT_S
        while not self._started(deadline):
            said = (self._home / "log").read_text()
            if _LEFT_OVER not in said or time.monotonic() > deadline:
                raise SetupError(f"PostgreSQL did not start:\n{said}", "Look at the installed PostgreSQL")

    def _started(self, deadline: float) -> bool:
        log = self._home / "log"
        # What it was told is in the kernel's hands at once, so a kill loses nothing; only a power cut would.
        options = {"listen_addresses": "", "unix_socket_directories": self._home, "fsync": "off",
                   "full_page_writes": "off", "max_connections": "200"}  # fmt: skip
        words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        with log.open("w") as out:
            self._server = subprocess.Popen(
                [self._folder / "postgres", "-D", self._home / "data", *words],
                cwd=self._home, stdout=out, stderr=out, text=True, **self._who,
            )  # fmt: skip
        survivors.begun(self._server.pid)
        while not (self._home / ".s.PGSQL.5432").exists() or "ready to accept" not in log.read_text():
            if self._server.poll() is not None or time.monotonic() > deadline:
                self.kill()
                return False
            time.sleep(0.05)
        return True

    def kill(self) -> None:
        """SIGKILL: nothing is said to its clients."""
        self._server.kill()
        self._server.wait()
        survivors.ended(self._server.pid)

    def stop(self) -> None:
        """At once, its clients cut off."""
        self._server.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            self._server.wait(30)
        self.kill()


@contextmanager
def private_server() -> Iterator[PrivateServer | None]:
    """Yields a running server, or None where PostgreSQL is not installed."""
    folder = binaries()
    if folder is None:
        yield None
        return
    # Not below the caller's TMPDIR: an unprivileged user must get in, and a socket's path must be short.
    with tempfile.TemporaryDirectory(prefix="arena-pg-", dir="/tmp") as home:
        server = PrivateServer(folder, Path(home))
        try:
            yield server
        finally:
            server.stop()


def _unprivileged() -> pwd.struct_passwd | None:
    """Who runs the server: PostgreSQL refuses root. None: ourselves."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise SetupError("PostgreSQL refuses to run as root and there is no other user", "Run the tests as a normal user")
