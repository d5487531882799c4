"""A host installed by ``ops/up --production`` into an empty root, and its programs really running."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import redis

from ops.install import command, health, secrets, site
from ops.install.host import Host
from ops.setup import postgres
from tests.ops.host.programs import Unit, UnitProcess, environment, listening
from tests.processes import ROOT, free_port, wait_for

INSTALLED_TIMES = dict(site.TIMES)
PATIENCE = {"SHORT_S": "3", "READ_S": "1", "STREAM_S": "60"}
"""nginx's times in seconds, scaled down: whoever is silent for longer than an ordinary answer may be is a stream."""
FEW = {"RATE": "5", "BURST": "60", "LINES": "600"}
"""Its limits, so low that a flood is one on the busiest machine."""

NEEDED = {"nginx": "nginx", "systemd-sysusers": "systemd", "systemd-analyze": "systemd", "setpriv": "util-linux",
          "unshare": "util-linux", "openssl": "openssl"}  # fmt: skip


@dataclass
class Installed:
    """``arguments`` are the command's; ``processes`` run as long as the module's tests do."""

    root: Path
    arguments: list[str]
    processes: dict[str, UnitProcess] = field(default_factory=dict)

    @property
    def host(self) -> Host:
        return Host(command._options(command.parser().parse_args(self.arguments)))

    @property
    def url(self) -> str:
        return f"https://localhost:{self.host.options.https_port}"

    @property
    def inside(self) -> str:
        return f"http://127.0.0.1:{self.host.options.private_port}"

    def install(self) -> None:
        assert command.install([*self.arguments]) == 0

    def redis(self) -> redis.Redis:
        return redis.Redis.from_url(secrets.redis_urls(self.host)["admin"])


def missing() -> str:
    """Why a host cannot be installed here; empty: it can."""
    if os.getuid() != 0:
        return "only root makes users"
    lacking = {p for c, p in NEEDED.items() if not shutil.which(c, path=f"{os.environ['PATH']}:/usr/sbin")}
    if lacking:
        return f"not installed: {', '.join(sorted(lacking))}"
    alone = ["unshare", "-m", "sh", "-c", "mount --bind /srv /srv && mount -o remount,bind,ro /"]
    return "" if subprocess.run(alone, capture_output=True, check=False).returncode == 0 else "no name spaces of mounts"


@pytest.fixture(scope="package")
def root() -> Iterator[Path]:
    """Not below the tests' own folder, which others may not enter."""
    if why := missing():
        pytest.skip(why)
    place = Path(tempfile.mkdtemp(prefix="arena-host-", dir="/srv"))
    place.chmod(0o755)
    try:
        yield place
    finally:
        shutil.rmtree(place)


@pytest.fixture(scope="package")
def installed(root: Path) -> Iterator[Installed]:
    """After the first installation; on PostgreSQL where there is one."""
    venv = environment(root)
    if venv is None:
        pytest.skip("no interpreter or packages that other users may read")
    ports = [word for name in ("http", "https", "private") for word in (f"--{name}-port", str(free_port()))]
    with postgres.private_server() as server:
        where = ["--database", "sqlite"]
        if server:
            home = server.url.partition("host=")[2]
            admin = ["psql", "-h", home, "-U", postgres.ROLE, "-d", "postgres", "-qc"]
            subprocess.run([*admin, "CREATE ROLE postgres SUPERUSER LOGIN"], check=True)
            Path(home).chmod(0o755)  # so that the arena's users get to its socket
            where = ["--postgres", f"postgresql://postgres@/postgres?host={home}"]
        made = Installed(root, [
            "--domain", "localhost", "--root", str(root), "--venv", str(venv), "--no-fetch", *where, *ports,
            "--catalog", str(hasty(root)), "--bind", f"127.0.0.1:{free_port()}",
            "--store-bind", f"127.0.0.1:{free_port()}",
        ])  # fmt: skip
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(site, "TIMES", PATIENCE)
            patched.setattr(site, "LIMITS", FEW)
            made.install()
            yield made


def hasty(folder: Path) -> Path:
    """The stand-ins, of whom each says as much as ever, but ten times as fast."""
    text = (ROOT / "ops/catalogs/echo.toml").read_text()
    made = folder / "echo.toml"
    made.write_text(re.sub(r"(?<=tokens_per_s = )\d+", lambda rate: f"{rate[0]}0", text))
    return made


@pytest.fixture(scope="package")
def running(installed: Installed) -> Iterator[Installed]:
    """Every unit's command, as its own user, until a battle can be begun."""
    host = installed.host
    logs = installed.root / "logs"
    logs.mkdir()
    web = Unit(host, "arena-web.service")
    sockets = Unit(host, "arena-web.socket")
    with listening(*sockets.entries["ListenStream"], backlog=int(sockets.one("Backlog"))) as fds:
        also = {"ARENA_PACE_TAIL_S": "0.2", "ARENA_DRAIN_S": "1", "ARENA_RATING_PAUSE_S": "0.1"}
        for name in ("arena-redis", "arena-records", "vllm-arena", "arena-nginx"):
            installed.processes[name] = Unit(host, f"{name}.service").process(logs, also)
        installed.processes["arena-web"] = web.process(logs, also, fds)
        try:
            for process in installed.processes.values():
                process.start()
            try:
                wait_for("a battle that can be begun", ready(installed), 120)
            except AssertionError as error:
                said = "".join(f"\n== {n}\n{p.text()[-1500:]}" for n, p in installed.processes.items())
                missing = health.problem(f"{installed.inside}/ready")
                raise AssertionError(f"{error}: {missing}{said}") from None
            yield installed
        finally:
            stop(installed)


def stop(installed: Installed) -> None:
    """All at once, but the store: it stays for the last words of the others."""
    *others, store = sorted(installed.processes.values(), key=lambda p: p.name == "arena-redis")
    for process in (p for p in others if p.running):
        process.signal(signal.SIGTERM)
    for process in (*others, store):
        process.stop()


def ready(installed: Installed) -> Callable[[], bool]:
    """Whether a battle can be begun; an AssertionError once a program has ended."""

    def asked() -> bool:
        for process in installed.processes.values():
            assert process.running, f"{process.name} ended"
        return health.problem(f"{installed.inside}/ready") is None

    return asked
