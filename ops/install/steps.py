"""The steps of an installation, in their order. An upgrade is the same again; who finds nothing to do does nothing."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ops.install import accounts, config, database, health, program, secrets, several, site, units
from ops.install.host import Host, require, told
from ops.setup import checks, debian
from ops.setup.catalog_kind import has_nvidia_gpu, read_kind
from ops.setup.console import SetupError
from ops.setup.venv import SIZES


@dataclass(frozen=True, slots=True)
class Step:
    """``what`` is for the person; ``machine``: only on the machine itself, not in a folder that stands for one.

    ``of_workers``: on hosts of workers, too. ``stops``: from here on what runs is of the new release.
    """

    name: str
    what: str
    do: Callable[[Host], None]
    machine: bool = False
    of_workers: bool = False
    stops: bool = False


def look(host: Host) -> None:
    """Fail now for what would fail later."""
    if sys.platform != "linux":
        raise SetupError("A production host runs Linux", "On this machine: ./ops/up")
    several.networks("--private", host.options.private)
    several.check(host)
    kind = read_kind(host.options.catalog, host.models)
    gpu = has_nvidia_gpu()
    if kind.needs_vllm:
        checks.vllm_runs_here(gpu)
    base = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    if host.options.venv is None and base.parts[1] in ("root", "home"):
        fix = f"ARENA_PYTHON=/usr/bin/python3 {sys.argv[0]} ..., or another one outside /root and /home"
        raise SetupError(f"The arena's users cannot run {base}, which lies in a home directory", fix)
    fresh = not (host.venv / "pyvenv.cfg").exists()
    wanted = ("base", *([("gpu" if gpu else "cpu")] if kind.needs_vllm else []))
    packages = int(sum(SIZES[v] for v in wanted) * checks.GB) if fresh else 0
    needs = {host.opt: packages, host.models: kind.models_bytes if host.options.fetch else 0, host.var: 2 * checks.GB}
    checks.enough_disk(needs, {host.opt: "packages", host.models: "models", host.var: "data"})
    total = sum(needs.values())
    told(f"{'GPU' if gpu else 'no GPU'}, catalog {host.options.catalog}, disk for {total / checks.GB:.1f} GB", False)


def packages(host: Host) -> None:
    """What pip cannot bring."""
    wanted = [
        debian.SystemPackage(("nginx",), "public side", ("nginx",), "usr/sbin/nginx"),
        debian.SystemPackage(("openssl",), "certificate", ("openssl",)),
    ]
    if host.options.email:
        wanted.append(debian.SystemPackage(("certbot",), "certificate", ("certbot",)))
    if host.options.database == "postgresql" and "host=/" in host.options.postgres:
        server = debian.SystemPackage(("postgresql",), "database", ("initdb",), "usr/lib/postgresql/*/bin/initdb")
        wanted.append(server)
    debian.ensure(tuple(wanted), required=True)
    for unit in ("nginx", "postgresql"):
        if shutil.which("systemctl") and unit == "nginx":
            subprocess.run(["systemctl", "disable", "--now", "--quiet", unit], check=False, capture_output=True)
    if any("postgresql" in p.names for p in wanted):
        host.systemctl("enable", "--now", "postgresql")


def save(host: Host) -> None:
    """Before an upgrade changes anything: what there is, kept."""
    if not host.installed.exists():
        told("nothing is installed yet, so there is nothing to keep", False)
        return
    words: list[object] = [host.python, "-m", "ops.backup", "create", "--into", host.var / "backups", "--keep", "14"]
    words += ["--secrets", host.etc / "secrets", "--label", "before-upgrade"]
    if not host.socket.exists():  # the arena is stopped: what its store keeps lies in its own file
        words.append("--no-redis")
    environment = {"PATH": f"{host.venv}/bin:/usr/bin:/bin"}
    for file in ("admin.env", "web.local.env"):
        environment |= config.read_environment(host.etc / file)
    fix = "An upgrade without a backup: --no-backup"
    said = host.command(words, "Backup", fix, cwd=host.current.resolve(), env=environment)
    told(said.strip().splitlines()[-1], True)


def drain(host: Host) -> None:
    """Workers let their battles end and hand the rest back to the queue; people go on asking, and wait a little."""
    running = [u for u in units.worker_units(host) if host.active(u)]
    if running and (host.current in host.changed or host.etc / "worker.env" in host.changed or _units_changed(host)):
        host.systemctl("stop", *running)
        told(f"{', '.join(running)}: drained (at most {config.DRAIN_S} s) and stopped", True)
        return
    told("no worker has to stop", False)


def start(host: Host) -> None:
    """Only what runs with something that has changed is started anew; sockets of visitors come back by themselves."""
    host.systemctl("daemon-reload")
    if host.options.worker_only:
        host.systemctl("enable", "--quiet", units.TARGET, *units.worker_units(host))
        host.systemctl("start", units.TARGET, *units.worker_units(host))
        told("arena.target", bool(host.changed))
        return
    host.systemctl("enable", "--quiet", units.TARGET, "arena-web.socket", *units.worker_units(host), *units.OTHERS)
    restart = _units_changed(host) or host.current in host.changed
    store = {host.etc / "redis" / "redis.conf", host.etc / "redis" / "users.acl", host.units / "arena-redis.service"}
    host.systemctl("restart" if store & host.changed else "start", "arena-redis")
    if restart or any(p.parent == host.etc for p in host.changed):
        host.systemctl("restart", "arena-records", "arena-web")
    host.systemctl("start", "arena.target", *units.worker_units(host))
    if any(p.is_relative_to(host.etc / "nginx") or p == host.etc / "tls" for p in host.changed):
        host.systemctl("reload-or-restart", "arena-nginx")
    told("arena.target", bool(host.changed))


def _units_changed(host: Host) -> bool:
    return any(p.parent == host.units for p in host.changed)


def verify(host: Host) -> None:
    """What systemd itself thinks of the units."""
    tool = require("systemd-analyze", "systemd")
    files = [host.units / name for name in units.render(host) if "@" not in name]
    host.command([tool, "verify", "--man=no", *files], "systemd-analyze verify", "Please report this")
    told(f"{len(files)} units hold", False)


STEPS = (
    Step("check", "what can be known to fail: system, driver, disk, Python", look, of_workers=True),
    Step("packages", "Debian packages: nginx, PostgreSQL, openssl, certbot with --email", packages, machine=True),
    Step("users", "a user for web, records, worker, store and nginx, without a shell", accounts.users, of_workers=True),
    Step("folders", "/opt/llm-arena, /opt/models, /etc/llm-arena, /var/lib/llm-arena", accounts.folders,
         of_workers=True),
    Step("backup", "an upgrade begins with a backup; --no-backup leaves it out", save),
    Step("release", "this checkout to /opt/llm-arena/releases, and the link that says which one runs", program.release,
         of_workers=True),
    Step("environment", "the locked packages into /opt/llm-arena/venv, and the browser's files", program.environment,
         of_workers=True),
    Step("secrets", "signing key, operator's key, passwords of database and store: made once, kept", secrets.make,
         of_workers=True),
    Step("configuration", "settings of each program, the store's users, limits of the journal", config.write,
         of_workers=True),
    Step("units", "systemd: vllm-arena, arena-web, arena-records, arena-redis, arena-nginx, timers", units.write,
         of_workers=True),
    Step("site", "nginx: TLS, HTTP/2, sockets and streams, limits, the port inside; a first certificate", site.write),
    Step("verify", "the units, by systemd-analyze", verify, of_workers=True),
    Step("models", "what the catalog needs and is not there yet, verified, into /opt/models", program.models,
         of_workers=True),
    Step("database", "PostgreSQL's role and database", database.role),
    Step("migration", "the database to the newest revision, while the release before serves on", database.migrate),
    Step("drain", "an upgrade lets running battles end first", drain, machine=True, of_workers=True, stops=True),
    Step("start", "start, or start anew what has changed, in order", start, machine=True, of_workers=True, stops=True),
    Step("health", "/health, /ready, /v1/models, a page through nginx; on a host of workers, that they take battles",
         health.check, machine=True, of_workers=True, stops=True),
)  # fmt: skip
"""Named, so that ``--dry-run`` tells the same."""
