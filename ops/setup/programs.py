"""What runs, in which order, and supervisor's configuration for it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ops.setup import store
from ops.setup.layout import ROOT, Layout
from ops.setup.venv import Venv

LOG_BYTES = 20 * 10**6
LOG_FILES = 5


@dataclass(frozen=True, slots=True)
class Program:
    """One supervised process. Started in the order of ``priority``, stopped in the reverse, one after another.

    ``orphan_signal`` is what the kernel sends it when its supervisor was killed.
    """

    name: str
    command: tuple[str, ...]
    priority: int
    needs_redis: bool = True
    orphan_signal: str = "KILL"
    stop_wait_s: int = 20
    redis_user: str = ""
    """Who it is to the embedded store."""

    def gated(self, python: Path) -> str:
        """The command line behind its gate, for supervisor's parser."""
        gates = ["--die-with-parent", self.orphan_signal, *(["--redis"] if self.needs_redis else [])]
        gates += ["--redis-as", self.redis_user] if self.redis_user else []
        line = shlex.join([str(python), "-m", "ops.gate", *gates, "--", *self.command])
        return line.replace("%", "%%")


def programs(layout: Layout, venv: Venv, redis: Path | None, environment: Mapping[str, str]) -> list[Program]:
    """Every program of one arena; without the embedded server when the caller named one."""
    python = str(venv.python)
    threads = environment.get("ARENA_THREADS", "128")
    # Workers need to know nothing of each other; asking who else is there costs each start a second.
    common = ("--without-gossip", "--without-mingle", "--loglevel", environment.get("ARENA_LOG_LEVEL", "INFO"))
    celery = (python, "-m", "celery", "--quiet", "-A")  # its banner is no line of a log
    found = [
        Program("records", (*celery, "web.records", "worker", "-P", "threads", "-c", "1", "-Q", "records",
                            "-n", "records@%h", *common), 20, redis_user="web"),
        Program("worker", (*celery, "worker", "worker", "-P", "threads", "-c", threads, "-Q", "battles",
                           "-n", "arena@%h", *common), 30, stop_wait_s=40, redis_user="worker"),
        Program("web", (python, "-m", "gunicorn", "-c", "ops/gunicorn.conf.py", "web:create_app()"), 40,
                redis_user="web"),
    ]  # fmt: skip
    if redis is not None:
        found.insert(0, Program("redis", redis_command(redis, layout), 10, needs_redis=False, orphan_signal="TERM"))
    return found


def redis_command(server: Path, layout: Layout) -> tuple[str, ...]:
    """A server on a private socket."""
    listen = {"port": "0", "unixsocket": str(layout.redis_socket), "unixsocketperm": "700"}
    kept = {"dir": str(layout.redis), "aclfile": str(store.acl_file(layout.run))}
    return (str(server), *redis_options({**listen, **kept}))


def redis_options(more: Mapping[str, str]) -> tuple[str, ...]:
    """A server that keeps its data across restarts and never evicts; ``more`` says where."""
    kept = {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction", "save": ""}
    return tuple(word for name, value in {**more, **kept}.items() for word in (f"--{name}", value))


def configuration(wanted: list[Program], layout: Layout, venv: Venv) -> str:
    """supervisord's file. No environment and no secret in it: the programs inherit supervisord's own environment."""
    head: dict[str, dict[str, object]] = {
        "unix_http_server": {"file": layout.supervisor_socket, "chmod": "0700"},
        "supervisord": {
            "logfile": layout.logs / "supervisord.log",
            "logfile_maxbytes": LOG_BYTES,
            "logfile_backups": LOG_FILES,
            "pidfile": layout.run / "supervisord.pid",
            "directory": ROOT,
            "childlogdir": layout.logs,
            "identifier": "llm-arena",
        },
        "rpcinterface:supervisor": {
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
        },
        "supervisorctl": {"serverurl": f"unix://{layout.supervisor_socket}"},
    }
    lines = [_section(name, {k: _escaped(v) for k, v in entries.items()}) for name, entries in head.items()]
    lines += [_section(f"program:{p.name}", _entries(p, layout, venv)) for p in wanted]
    return "\n".join(lines)


def _entries(program: Program, layout: Layout, venv: Venv) -> dict[str, str]:
    return {
        "command": program.gated(venv.python),
        "priority": str(program.priority),
        "autorestart": "true",
        # A crash loop waits a second longer each time and is never given up: nobody may be there to start it again.
        "startretries": "1000000",
        "startsecs": "3",
        "stopwaitsecs": str(program.stop_wait_s),
        # Engines are children of the worker; if it must be killed they go with it.
        "killasgroup": "true",
        "redirect_stderr": "true",
        # supervisor 4.3 expands this one twice.
        "stdout_logfile": _escaped(_escaped(layout.logs / f"{program.name}.log")),
        "stdout_logfile_maxbytes": str(LOG_BYTES),
        "stdout_logfile_backups": str(LOG_FILES),
    }


def _escaped(value: object) -> str:
    return str(value).replace("%", "%%")


def _section(name: str, entries: Mapping[str, str]) -> str:
    return "\n".join([f"[{name}]", *(f"{key} = {value}" for key, value in entries.items()), ""])
