"""A user for each program, so that none can read what another one knows, and the folders each may write."""

from __future__ import annotations

from ops.install.host import NGINX, RECORDS, REDIS, SHARED, WEB, WORKER, Host, require, told

SYSUSERS = f"""\
# Web and records share the database's secrets and, on SQLite, its file; the worker has neither.
g {SHARED} -
u {WEB} - "LLM Arena, web" /var/lib/llm-arena/web
g {RECORDS} -
u {RECORDS} -:{WEB} "LLM Arena, records" /var/lib/llm-arena/web
u {WORKER} - "LLM Arena, engines" /var/lib/llm-arena/worker
u {REDIS} - "LLM Arena, store" /var/lib/llm-arena/redis
u {NGINX} - "LLM Arena, TLS and streams" /var/lib/llm-arena
m {WEB} {SHARED}
m {RECORDS} {SHARED}
m {WORKER} {SHARED}
m {REDIS} {SHARED}
m {WORKER} video
m {WORKER} render
"""


def users(host: Host) -> None:
    """The users, by systemd's own tool, which leaves alone those that are there."""
    text = SYSUSERS
    if host.options.worker_only:
        text = "".join(f"{line}\n" for line in text.splitlines() if WORKER in line or line.startswith("g "))
    if not host.real:  # a folder has no groups of devices
        text = "\n".join(line for line in text.splitlines() if not line.endswith((" video", " render"))) + "\n"
    file = host.at("/usr/lib/sysusers.d/llm-arena.conf")
    fresh = host.write(file, text)
    (host.at("/etc")).mkdir(parents=True, exist_ok=True)
    tool = require("systemd-sysusers", "systemd")
    where = [] if host.real else [f"--root={host.options.root}"]
    host.command([tool, *where, "llm-arena.conf"], "Making the users", "Read what it says; systemd is needed")
    made = WORKER if host.options.worker_only else ", ".join((WEB, RECORDS, WORKER, REDIS, NGINX))
    told(f"users {made}; group {SHARED}", fresh)


def folders(host: Host) -> None:
    """Nobody but its owner writes anywhere, and secrets are read by root alone, who hands them out (systemd)."""
    host.folder(host.opt, 0o755)
    host.folder(host.etc, 0o755)
    host.folder(host.etc / "secrets", 0o700)
    host.folder(host.models, 0o755, WORKER)
    host.folder(host.var, 0o755)
    host.folder(host.var / "worker", 0o700, WORKER)
    if not host.options.worker_only:
        _folders_of_the_first(host)
    told(f"{host.opt}, {host.models}, {host.etc}, {host.var}", False)


def _folders_of_the_first(host: Host) -> None:
    host.folder(host.etc / "redis", 0o750, "", REDIS)
    host.folder(host.etc / "tls", 0o750, "", NGINX)
    host.folder(host.var / "web", 0o2770, WEB)  # on SQLite records writes the same files
    host.folder(host.var / "redis", 0o700, REDIS)
    host.folder(host.var / "acme", 0o755)
    host.folder(host.var / "nginx", 0o700, NGINX)
    host.folder(host.var / "backups", 0o700)
    host.folder(host.run, 0o750, REDIS, SHARED)
