"""The code: each release in a folder of its own, one link that says which runs, and their common environment."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from ops.install.config import secret_environment
from ops.install.host import WORKER, Host, told
from ops.setup.catalog_kind import has_nvidia_gpu, read_kind
from ops.setup.console import SetupError
from ops.setup.layout import ROOT

PARTS = ("web", "worker", "migrations", "ops", "pyproject.toml", "README.md", "LICENSE")
LEFT_OUT = {"__pycache__", "node_modules", ".git", ".venv", "bench"}
KEPT = 3
"""Releases that stay, the running one included: to go back is to point the link at an older one."""


def release(host: Host) -> None:
    """Copy this checkout to a folder named after its content, and point the link at it."""
    found = files()
    digest = hashlib.sha256()
    for file in found:
        digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes() + b"\0")
    place = host.opt / "releases" / digest.hexdigest()[:12]
    if not place.exists():
        draft = place.with_name(f".{place.name}.{os.getpid()}")
        copy(found, draft)
        draft.rename(place)
    before = running(host)
    fresh = before != place.resolve()
    if fresh:
        _point_at(host, place)
        host.changed.add(host.current)
    os.utime(place)
    _forget_old(host, place, before)
    told(f"release {place.name}, {len(found)} files", fresh)


def running(host: Host) -> Path | None:
    """The folder of the release that runs; None before the first."""
    return host.current.resolve() if host.current.exists() else None


def go_back(host: Host, before: Path | None) -> None:
    """Point the link at the release that ran before, as if the newer one had never come; it has not been started."""
    if before is None or running(host) == before:
        return
    _point_at(host, before)
    host.changed.discard(host.current)
    told(f"release {before.name} serves on; nothing was stopped", True)


def _point_at(host: Host, place: Path) -> None:
    link = host.current.with_name(f".current.{os.getpid()}")
    link.symlink_to(Path("releases") / place.name)
    link.replace(host.current)


def copy(found: Iterable[Path], place: Path) -> None:
    """Files of the checkout to the same places below a folder, for all to read."""
    for file in found:
        target = place / file.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
        target.chmod(0o755 if os.access(file, os.X_OK) else 0o644)
    for folder, _, _ in os.walk(place):
        Path(folder).chmod(0o755)


def files(parts: Iterable[str] = PARTS) -> list[Path]:
    """Those of these parts of the checkout that a host or an image has any use for, in order."""
    found = []
    for part in parts:
        top = ROOT / part
        if top.is_file():
            found.append(top)
        for folder, folders, names in os.walk(top):
            folders[:] = [f for f in folders if f not in LEFT_OUT]
            found += [Path(folder, name) for name in names if (Path(folder, name)).is_file()]
    return sorted(found)


def _forget_old(host: Host, newest: Path, before: Path | None) -> None:
    releases = sorted((host.opt / "releases").iterdir(), key=lambda p: p.stat().st_mtime, reverse=True)
    needed = {place.name for place in (newest, before) if place is not None}
    for old in [r for r in releases if r.name not in needed][KEPT - len(needed) :]:
        shutil.rmtree(old)


def environment(host: Host) -> None:
    """The locks' packages, and the pages; both as the new release asks for them."""
    gpu = has_nvidia_gpu()
    kind = read_kind(host.options.catalog, host.models)
    variants = ["base", *([("gpu" if gpu else "cpu")] if kind.needs_vllm else [])]
    if host.options.venv is None:
        script = "import sys; from pathlib import Path; from ops.setup import venv; "
        script += "venv.ensure(venv.Venv(Path(sys.argv[1])), sys.argv[2:])"
        words: list[str | Path] = [sys.executable, "-c", script, host.venv, *variants]
        host.command(words, "Installing packages", "Read what it says and run again", cwd=host.current.resolve())
    elif not host.python.exists():
        raise SetupError(f"There is no Python in {host.venv}", "Name a virtual environment: --venv DIR")
    if not host.options.worker_only:
        built = [host.python, "-m", "ops.assets"]
        host.command(built, "Building the pages", "Correct what it says and run again", cwd=host.current.resolve())
    told(f"packages in {host.venv} ({', '.join(variants)}){'' if host.options.worker_only else ', pages'}", False)


def models(host: Host) -> None:
    """Fetch what is not there yet, as the worker's user; what was begun goes on where it stopped."""
    if not host.options.fetch:
        told("models are not fetched (--no-fetch)", False)
        return
    known = secret_environment(host, "worker")
    catalog = known["ARENA_CATALOG"]
    words = [host.python, "-m", "worker.models", "fetch", "--catalog", catalog, "--models-dir", host.models]
    passed = {name: value for name, value in known.items() if name.startswith(("HF_", "ARENA_MODELS_"))}
    secret = host.etc / "worker.local.env"
    fix = f"Run again to go on from here; a token for gated models goes into {secret}, as HF_TOKEN=..."
    for line in host.as_user(WORKER, words, {**passed, **host_environment()}, "Fetching the models", fix).splitlines():
        told(line, True)


def host_environment() -> dict[str, str]:
    """What of the caller's environment reaches downloads: proxies, and indexes, hubs and mirrors of one's own."""
    names = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "HF_ENDPOINT", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY",
             "SSL_CERT_FILE", "ARENA_MODELS_MIRROR", "ARENA_MODELS_BUDGET")  # fmt: skip
    return {name: os.environ[name] for name in names if name in os.environ}
