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
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ops.setup.console import SetupError

START_LIMIT_S = 60.0
ROLE = "arena"


def binaries() -> Path | None:
    """The folder of initdb and postgres: Debian's newest, else PATH's; None where there is none."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: float(p.parts[-3]))
    found = debian[-1] if debian else shutil.which("initdb")
    return Path(found).resolve().parent if found else None


@contextmanager
def private_server() -> Iterator[str | None]:
    """Yields an SQLAlchemy URL whose role may create databases, or None where PostgreSQL is not installed."""
    folder = binaries()
    if folder is None:
        yield None
        return
    # Not below the caller's TMPDIR: an unprivileged user must get in, and a socket's path must be short.
    with tempfile.TemporaryDirectory(prefix="arena-pg-", dir="/tmp") as home:
        user = _unprivileged()
        if user is not None:
            os.chown(home, user.pw_uid, user.pw_gid)
        server = _start(folder, Path(home), user)
        try:
            yield f"postgresql+psycopg://{ROLE}@/postgres?host={home}"
        finally:
            server.send_signal(signal.SIGINT)  # "fast": clients are cut off
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


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


def _start(folder: Path, home: Path, user: pwd.struct_passwd | None) -> subprocess.Popen[str]:
    who: dict[str, Any] = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    data = home / "data"
    made = subprocess.run(
        [folder / "initdb", "-D", data, "-A", "trust", "-U", ROLE, "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"],
        cwd=home, capture_output=True, text=True, check=False, **who,
    )  # fmt: skip
    if made.returncode:
        raise SetupError(f"initdb failed:\n{made.stdout}{made.stderr}", "Look at the installed PostgreSQL")
    options = {"listen_addresses": "", "unix_socket_directories": home, "fsync": "off", "full_page_writes": "off",
               "synchronous_commit": "off", "max_connections": "200"}  # fmt: skip
    words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    with (home / "log").open("w") as log:
        server: subprocess.Popen[str] = subprocess.Popen(
            [folder / "postgres", "-D", data, *words], cwd=home, stdout=log, stderr=log, text=True, **who
        )
    deadline = time.monotonic() + START_LIMIT_S
    while not (home / ".s.PGSQL.5432").exists() or "ready to accept" not in (home / "log").read_text():
        if server.poll() is not None or time.monotonic() > deadline:
            server.kill()
            server.wait()
            said = (home / "log").read_text()
            raise SetupError(f"PostgreSQL did not start:\n{said}", "Look at the installed PostgreSQL")
        time.sleep(0.05)
    return server
