"""The programs' settings: what follows from the installation is written anew each time, the operator's own never.

For each program ``NAME.env`` is ours and ``NAME.local.env`` is the operator's, read after it. systemd reads both as
root and hands them over, so that no user but root can read a secret from the disk.
"""

from __future__ import annotations

import os
from pathlib import Path

from ops.install import secrets, several
from ops.install.host import REDIS, SHARED, Host, told
from ops.setup.console import SetupError
from ops.setup.environment import redis_server
from ops.setup.programs import redis_options
from ops.setup.venv import Venv

DRAIN_S = 60
"""How long battles may go on when a worker is stopped, before they are handed back to the queue."""

LOCAL = """\
# Yours: read after {name}.env, never written again. NAME=value, one a line; then: systemctl restart {unit}
"""

UNITS = {"web": "arena-web arena-records", "worker": "vllm-arena"}


def common(host: Host) -> dict[str, str]:
    """What web, records and worker read alike."""
    return {
        "ARENA_CATALOG": str(host.catalog),
        "ARENA_MODELS_DIR": str(host.models),
        "ARENA_LOG_FORMAT": "json",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "LANG": "C.UTF-8",
    }


def web(host: Host) -> dict[str, str]:
    """What web and records read; the database's password and the signing key among it."""
    options = host.options
    database = secrets.database_url(host)
    return {
        **common(host),
        "ARENA_PRODUCTION": "1",
        "ARENA_DATA_DIR": str(host.var / "web"),
        "ARENA_HOSTS": origin(host).removeprefix("https://"),
        "ARENA_ORIGINS": origin(host),
        "ARENA_TRUSTED_PROXIES": options.proxies,
        "ARENA_BIND": options.bind,
        "ARENA_PRIVATE_HOST": "127.0.0.1",
        "ARENA_PRIVATE_PORT": str(private_upstream(host)),
        "ARENA_V1_OPEN": "1",
        "ARENA_SECRET_KEY": secrets.known(host, "signing_key"),
        "ARENA_ADMIN_KEY": secrets.known(host, "admin_key"),
        "ARENA_REDIS_URL": secrets.redis_urls(host)["web"],
        **({"ARENA_DATABASE_URL": database} if database else {}),
    }


def worker(host: Host) -> dict[str, str]:
    """What the worker reads: no database, no keys."""
    return {
        **common(host),
        "ARENA_DRAIN_S": str(DRAIN_S),
        "ARENA_REDIS_URL": secrets.redis_urls(host)["worker"],
    }


def origin(host: Host) -> str:
    """What browsers call the arena."""
    port = host.options.https_port
    return f"https://{host.options.domain}" + ("" if port == 443 else f":{port}")


def private_upstream(host: Host) -> int:
    """gunicorn's private listener, behind nginx's."""
    return host.options.private_port + 1


def secret_environment(host: Host, name: str) -> dict[str, str]:
    """The settings of web or worker as its unit gets them, the operator's own included."""
    made = {"web": web, "worker": worker}[name](host)
    return {**made, **read_environment(host.etc / f"{name}.local.env")}


def read_environment(file: Path) -> dict[str, str]:
    """A file of systemd's, as far as ours use its rules: ``NAME=value``, quotes off, ``#`` begins a comment."""
    pairs = {}
    for line in file.read_text().splitlines():
        name, sign, value = line.strip().partition("=")
        if sign and not name.startswith("#"):
            pairs[name] = value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value
    return pairs


def write(host: Host) -> None:
    """All of it."""
    before = len(host.changed)
    if not host.catalog.exists():
        host.write(host.catalog, host.options.catalog.read_text())
    alone = host.options.worker_only
    made_for = {"worker": worker} if alone else {"web": web, "worker": worker, "admin": admin}
    for name, settings in made_for.items():
        made = settings(host)
        text = "".join(f"{key}={value}\n" for key, value in made.items())
        host.write(host.etc / f"{name}.env", f"# Written by ./ops/up --production.\n{text}", 0o600)
    for name, unit in UNITS.items():
        if name not in made_for:
            continue
        file = host.etc / f"{name}.local.env"
        if not file.exists():
            host.write(file, LOCAL.format(name=name, unit=unit), 0o600)
    if not alone:
        host.write(host.etc / "redis" / "redis.conf", redis_conf(host), 0o640, "", REDIS)
    host.write(host.at("/etc/systemd/journald.conf.d/llm-arena.conf"), JOURNAL)
    told(f"{host.etc}/*.env, catalog.toml{'' if alone else ', redis/redis.conf'}", len(host.changed) > before)


def admin(host: Host) -> dict[str, str]:
    """For the operator's own commands: ``set -a; . /etc/llm-arena/admin.env``."""
    return {**web(host), "ARENA_REDIS_URL": secrets.redis_urls(host)["admin"]}


JOURNAL = """\
# The arena's programs log to the journal and to no file. No prompt or answer is in it.
[Journal]
Storage=persistent
SystemMaxUse=1G
SystemKeepFree=2G
MaxRetentionSec=30day
"""


def store_server(host: Host) -> Path:
    """The machine's own Valkey or Redis if new enough, else the one the environment carries."""
    found = redis_server(Venv(host.venv), {"PATH": os.environ.get("PATH", os.defpath)})
    if found is None:
        raise SetupError("There is no Valkey or Redis server", "apt-get install valkey-server")
    return found


def redis_conf(host: Host) -> str:
    """A file that never grows beyond use and never forgets: the queue lives in it. Options are those of `ops/up`."""
    place = several.listening(host)
    where = {
        "port": str(place[1] if place else 0),
        **({"bind": place[0]} if place else {}),
        "unixsocket": str(host.socket),
        "unixsocketperm": "770",
        "dir": str(host.var / "redis"),
        "aclfile": str(host.etc / "redis" / "users.acl"),
        "daemonize": "no",
        "logfile": '""',
        "maxmemory": "1gb",
    }
    words = redis_options(where)
    pairs = zip(words[::2], words[1::2], strict=True)
    lines = [f"{name.removeprefix('--')} {value or chr(34) * 2}" for name, value in pairs]
    return f"# Written by ./ops/up --production; group {SHARED} may connect.\n" + "\n".join(lines) + "\n"
