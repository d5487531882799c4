"""A whole arena for a bench: ``ops/up`` on a free port and an empty data folder, gone afterwards."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


_given: set[int] = set()


def free_port() -> int:
    """A port nobody listens on at this moment, and another one each time."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port not in _given:
            _given.add(port)
            return port


def chosen(catalog: Path, models: Sequence[str]) -> str:
    """The text of a catalog with only ``models`` in it. Raises SystemExit naming one that is not there."""
    head, *entries = re.split(r"(?m)^(?=\[\[models\]\])", catalog.read_text())
    by_id = {found[1]: entry for entry in entries if (found := re.search(r'(?m)^id\s*=\s*"([^"]+)"', entry))}
    missing = [m for m in models if m not in by_id]
    if missing:
        raise SystemExit(f"{catalog} has no model {missing[0]!r}; it has {', '.join(by_id)}")
    return head + "".join(by_id[m] for m in models)


@contextlib.contextmanager
def running_arena(catalog: str, models: Sequence[str], *, max_tokens: int, env: Mapping[str, str]) -> Iterator[str]:
    """The arena's URL while the block runs."""
    with tempfile.TemporaryDirectory(prefix="arena-bench-") as folder:
        data = Path(folder)
        (data / "catalog.toml").write_text(chosen(ROOT / catalog, models))
        port = free_port()
        where = ["--data", str(data / "data")]
        up = [
            str(ROOT / "ops" / "up"),
            "--detach",
            "--port",
            str(port),
            "--catalog",
            str(data / "catalog.toml"),
            *where,
        ]
        environment = {**os.environ, "ARENA_LIMITS": "off", **env, "ARENA_MAX_TOKENS": str(max_tokens)}
        try:
            subprocess.run(up, check=True, env=environment, stdout=sys.stderr)
            yield f"http://127.0.0.1:{port}"
        finally:
            subprocess.run([str(ROOT / "ops" / "down"), *where], check=False, stdout=sys.stderr)
