"""What a host needs, each thing looked at by itself: ``(level, what, fix)`` with level ``ok``, ``warn`` or ``fail``."""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ops.doctor.models import models
from ops.doctor.running import broker, ports, units, workers
from ops.install.config import read_environment
from ops.setup.catalog_kind import has_nvidia_gpu, read_kind
from ops.setup.checks import OLDEST_DRIVER

Said = tuple[str, str, str]
GB = 10**9


@dataclass(frozen=True, slots=True)
class Finding:
    name: str
    level: str
    what: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Patient:
    """An installation below ``root``."""

    root: Path

    def at(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    @property
    def etc(self) -> Path:
        return self.at("/etc/llm-arena")

    @property
    def catalog(self) -> Path:
        """What this host's workers serve."""
        return Path(self.environment("worker")["ARENA_CATALOG"])

    def environment(self, name: str) -> dict[str, str]:
        """The settings of ``web``, ``worker`` or ``admin``, the operator's own included."""
        found = read_environment(self.etc / f"{name}.env")
        local = self.etc / f"{name}.local.env"
        return {**found, **(read_environment(local) if local.exists() else {})}


def gpu(patient: Patient) -> Iterator[Said]:
    if not has_nvidia_gpu():
        kind = read_kind(patient.catalog, patient.at("/opt/models"))
        level = "warn" if kind.needs_vllm else "ok"
        fix = "lspci | grep -i nvidia; on AWS: is it a g4dn, g5 or g6, with the Deep Learning image?"
        yield level, "no NVIDIA GPU; engines run on the CPU", fix if kind.needs_vllm else ""
        return
    version = Path("/proc/driver/nvidia/version").read_text()
    match = re.search(r"\b(\d{3,})\.\d+", version)
    if match and int(match[1]) < OLDEST_DRIVER:
        what = f"driver {match[1]}, and CUDA 13 needs {OLDEST_DRIVER}"
        yield "fail", what, "apt-get install cuda-drivers, then reboot"
    asked = ["nvidia-smi", "--query-gpu=name,memory.used,memory.total", "--format=csv,noheader"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines()[-1]
        yield "fail", f"nvidia-smi: {said}", "reboot, or reinstall the driver"
    else:
        yield "ok", "; ".join(done.stdout.strip().splitlines()), ""


def memory(_: Patient) -> Iterator[Said]:
    lines = Path("/proc/meminfo").read_text().splitlines()
    known = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
    free, total = known["MemAvailable"], known["MemTotal"]
    short = "celery -A worker inspect memory; lower ARENA_HOST_MEMORY"
    level, fix = ("ok", "") if free > total // 20 else ("fail", short)
    yield level, f"{free / GB:.1f} of {total / GB:.1f} GB of host memory available", fix
    if Path("/proc/sys/vm/overcommit_memory").read_text().strip() == "0":
        what = "vm.overcommit_memory is 0: the store's rewrite of its file may fail"
        yield "warn", what, "sysctl vm.overcommit_memory=1"


def disk(patient: Patient) -> Iterator[Said]:
    for place in ("/opt/models", "/var/lib/llm-arena", "/var/log"):
        folder = patient.at(place)
        if folder.exists():
            usage = shutil.disk_usage(folder)
            level = "fail" if usage.free < 2 * GB else "warn" if usage.free < usage.total // 10 else "ok"
            fix = "" if level == "ok" else f"du -xsh {folder}/*; journalctl --vacuum-size=500M; or enlarge the volume"
            yield level, f"{folder}: {usage.free / GB:.1f} of {usage.total / GB:.1f} GB free", fix


def permissions(patient: Patient) -> Iterator[Said]:
    files = [*patient.etc.glob("*.env"), *(patient.etc / "secrets").glob("*")]
    open_ones = [f for f in files if f.stat().st_uid != 0 or stat.S_IMODE(f.stat().st_mode) & 0o077]
    for file in open_ones:
        yield "fail", f"{file} can be read by others than root", f"chown root: {file} && chmod 600 {file}"
    key = patient.etc / "tls" / "privkey.pem"
    if key.exists() and stat.S_IMODE(key.stat().st_mode) & 0o007:
        yield "fail", f"{key} can be read by everybody", f"chmod 640 {key}"
    if not files:
        yield "fail", f"there are no settings in {patient.etc}", "./ops/up --production"
    elif not open_ones:
        yield "ok", f"{len(files)} files of settings and secrets are root's alone", ""


def certificate(patient: Patient) -> Iterator[Said]:
    chain = patient.etc / "tls" / "fullchain.pem"
    asked = ["openssl", "x509", "-in", str(chain), "-noout", "-subject", "-issuer", "-enddate", "-checkend"]
    done = subprocess.run([*asked, str(14 * 86400)], capture_output=True, text=True, check=False)
    lines = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    renew = "systemctl start arena-certificate; journalctl -u arena-certificate -e"
    if not lines:
        yield "fail", f"{chain} is no certificate", renew
    elif done.returncode:
        yield "fail", f"the certificate ends on {lines['notAfter']}", renew
    elif lines["subject"].strip() == lines["issuer"].strip():
        yield "warn", "the certificate is our own, which browsers do not trust", "./ops/up --production ... --email YOU"
    else:
        yield "ok", f"certificate until {lines['notAfter']}", ""


def store(patient: Patient) -> Iterator[Said]:
    import redis

    with redis.Redis.from_url(patient.environment("admin")["ARENA_REDIS_URL"], socket_timeout=5) as client:
        try:
            client.ping()
        except redis.RedisError as error:
            fix = "systemctl restart arena-redis; journalctl -u arena-redis -e"
            yield "fail", f"the store does not answer: {error}", fix
            return
        for name, wanted in (("appendonly", "yes"), ("maxmemory-policy", "noeviction")):
            value = client.config_get(name)[name]
            if value != wanted:
                fix = f"set {name} {wanted} in redis.conf, then: systemctl restart arena-redis"
                yield "fail", f"{name} is {value}; the queue could be lost", fix
        info = client.info("persistence")
        if info.get("aof_last_write_status") != "ok":
            fix = "is the disk full? df -h; then: systemctl restart arena-redis"
            yield "fail", "the last write to the append-only file failed", fix
        used = client.info("memory")["used_memory"]
        known = {str(user) for user in client.acl_users()}
    if missing := {"web", "worker", "admin"} - known:
        yield "fail", f"accounts are missing: {', '.join(sorted(missing))}", "./ops/up --production"
    yield "ok", f"the store answers and keeps what it has; {used / 1e6:.0f} MB in use", ""


def database(patient: Patient) -> Iterator[Said]:
    from sqlalchemy import make_url
    from sqlalchemy.exc import SQLAlchemyError

    from ops.backup.database import facts
    from web.migrate import newest_revision
    from web.settings import WebSettings

    known = patient.environment("web")
    url = WebSettings(database_url=known.get("ARENA_DATABASE_URL"), data_dir=Path(known["ARENA_DATA_DIR"])).database
    try:
        revision, rows = facts(url)
    except SQLAlchemyError as error:
        why = str(getattr(error, "orig", error)).splitlines()[0]
        yield "fail", f"the database does not answer: {why}", "systemctl status postgresql; journalctl -u postgresql -e"
        return
    kind = make_url(url).get_backend_name()
    if revision != newest_revision():
        what = f"{kind} is at revision {revision or 'none'}, the code at {newest_revision()}"
        yield "fail", what, "./ops/up --production"
    else:
        yield "ok", f"{kind} at revision {revision}; " + ", ".join(f"{n} {name}" for name, n in rows.items()), ""


def clock(_: Patient) -> Iterator[Said]:
    """Deadlines, tickets and certificates are about time."""
    if not shutil.which("timedatectl") or not Path("/run/systemd/system").exists():
        yield "warn", "nobody here knows whether the clock is right", "apt-get install systemd-timesyncd or chrony"
        return
    asked = ["timedatectl", "show", "-p", "NTPSynchronized", "--value"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    if done.stdout.strip() == "yes":
        yield "ok", "the clock is synchronised", ""
    else:
        yield "warn", "the clock is not synchronised", "timedatectl set-ntp true"


def backups(patient: Patient) -> Iterator[Said]:
    from ops.backup.archive import PATTERN

    found = sorted(patient.at("/var/lib/llm-arena/backups").glob(PATTERN))
    fix = "systemctl start arena-backup; journalctl -u arena-backup -e; copy them to another machine"
    if not found:
        yield "warn", "there is no backup", fix
        return
    age = (time.time() - found[-1].stat().st_mtime) / 3600
    yield (
        ("ok" if age < 48 else "warn"),
        f"{len(found)} backups, the newest {age:.0f} hours old",
        "" if age < 48 else fix,
    )


CHECKS: dict[str, Callable[[Patient], Iterator[Said]]] = {
    "gpu": gpu, "memory": memory, "disk": disk, "models": models, "permissions": permissions,
    "certificate": certificate,
    "store": store, "database": database, "units": units, "workers": workers, "ports": ports, "clock": clock,
    "backups": backups,
}  # fmt: skip
"""In the order in which one would look."""

OF_WORKERS: dict[str, Callable[[Patient], Iterator[Said]]] = {
    "gpu": gpu, "memory": memory, "disk": disk, "models": models, "permissions": permissions,
    "store": broker, "units": units, "workers": workers, "clock": clock,
}  # fmt: skip
"""On a host of workers, which has no more than that."""
