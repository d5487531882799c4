"""The models directory: one folder per model, whole or absent, with a PROVENANCE.json that says what it was made of.

A folder counts as present only while it matches its catalog entry: another digest, format, template or converter
makes it stale, and the next fetch replaces it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from worker.contract.catalog import Catalog, ModelSpec, Source
from worker.models.errors import ModelsError
from worker.models.ranged import digest_of
from worker.models.sources import content_of, describe

CONVERTER_VERSION = 1
"""Raise it when a converter's output changes: every converted model is then made anew."""

PROVENANCE = "PROVENANCE.json"
ADAPTER_CONFIG = "adapter_config.json"
"""What makes a folder a PEFT adapter."""
BUILD_PREFIX = ".building-"
KEPT = ".downloads"
"""Below the models directory: what has arrived, so that an interrupted fetch goes on from there."""


def own_path(spec: ModelSpec) -> str:
    """The folder on this machine that the entry names for itself; empty when it is to be fetched."""
    return spec.path if spec.lora is None else spec.lora.path


def sources_of(spec: ModelSpec) -> tuple[Source, ...]:
    """Where the entry's folder (an adapter's is the adapter alone) may be fetched from, best first."""
    if spec.lora is None:
        return spec.sources
    return () if spec.lora.source is None else (spec.lora.source,)


def model_dir(models_dir: Path, spec: ModelSpec) -> Path:
    """Where the folder of the model, or of the adapter, is or would be."""
    own = own_path(spec)
    return Path(own).expanduser() if own else models_dir / spec.id


def is_present(models_dir: Path, spec: ModelSpec) -> bool:
    """Whether the entry needs no fetch: no weights here, a folder of one's own, or a fetched one that still matches."""
    if spec.engine != "vllm":
        return True
    folder = model_dir(models_dir, spec)
    if own_path(spec):
        return (folder / ("config.json" if spec.lora is None else ADAPTER_CONFIG)).is_file()
    made_of = read_provenance(folder)
    return matches(made_of, spec) and all(
        _has_size(folder / name, size) for name, size in made_of.get("files", {}).items()
    )


def matches(made_of: Mapping[str, Any], spec: ModelSpec) -> bool:
    """Whether that is what the entry asks for: its weights, and what is done to them."""
    contents = [content_of(s) for s in sources_of(spec)]
    return made_of.get("recipe") == recipe(spec) and made_of.get("content") in contents


def missing(models_dir: Path, catalog: Catalog) -> tuple[ModelSpec, ...]:
    """What the competing models need (an adapter also its base) and a worker could not load yet."""
    return tuple(m for m in catalog.needed if not is_present(models_dir, m))


def recipe(spec: ModelSpec) -> str:
    """What is done to the weights, as a short digest; the weights themselves are ``content_of`` their source."""
    if spec.lora is not None:
        return "adapter"
    template = hashlib.sha256(spec.chat_template.encode()).hexdigest()
    steps = [CONVERTER_VERSION, spec.format, spec.tie_embeddings, weights_dtype(spec), template]
    return hashlib.sha256(json.dumps(steps).encode()).hexdigest()[:16]


def weights_dtype(spec: ModelSpec) -> str:
    """The type a converter stores weights in; safetensors stay as they are published."""
    if spec.format == "safetensors":
        return "as published"
    return "bfloat16" if spec.dtype == "auto" else spec.dtype


def read_provenance(folder: Path) -> dict[str, Any]:
    """What the folder was made of; empty when it is absent, half made or not ours."""
    try:
        found = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_provenance(folder: Path, spec: ModelSpec, source: Source) -> None:
    """Sign a finished folder; the last thing done to it before it takes its place."""
    there = {p.relative_to(folder).as_posix(): p for p in sorted(folder.rglob("*")) if p.is_file()}
    made_of = {
        "model": spec.id,
        "name": spec.name,
        "maker": spec.maker,
        "licence": spec.licence,
        "licence_url": spec.licence_url,
        "source": describe(source),
        "revision": getattr(source, "revision", ""),
        "packages": list(getattr(source, "packages", ())),
        "content": content_of(source),
        "format": spec.format,
        "weights": weights_dtype(spec),
        "recipe": recipe(spec),
        "files": {name: p.stat().st_size for name, p in there.items()},
        "sha256": {name: digest_of(p) for name, p in there.items()},
    }
    sign(folder, made_of)


def sign(folder: Path, made_of: Mapping[str, Any]) -> None:
    """Write down what the folder was made of, and that it was now."""
    signed = {**made_of, "fetched_at": datetime.now(UTC).isoformat(timespec="seconds")}
    (folder / PROVENANCE).write_text(json.dumps(signed, indent=2) + "\n", encoding="utf-8")


@contextmanager
def building(models_dir: Path, spec: ModelSpec) -> Iterator[Path]:
    """A scratch folder on the models' own disk, gone afterwards whatever happens."""
    build = models_dir / f"{BUILD_PREFIX}{spec.id}-{os.getpid()}"
    build.mkdir()
    try:
        yield build
    finally:
        shutil.rmtree(build, ignore_errors=True)


def install(folder: Path, models_dir: Path, spec: ModelSpec) -> Path:
    """Move a finished folder to its place in one step; a stale one is moved aside first and then removed."""
    for path in (folder, *folder.rglob("*")):  # safetensors files arrive readable by their owner alone
        path.chmod(path.stat().st_mode | (0o755 if path.is_dir() else 0o644))
    place = models_dir / spec.id
    stale = folder.parent / "stale"
    if place.exists():
        place.rename(stale)
    folder.rename(place)
    _give(place, models_dir)
    shutil.rmtree(stale, ignore_errors=True)
    return place


def _give(path: Path, models_dir: Path) -> None:
    """What root makes is the directory's owner's, who could not replace it otherwise."""
    owner = models_dir.stat()
    if os.geteuid() == 0 and owner.st_uid != 0 and path.exists():
        for each in (path, *path.rglob("*")):
            os.chown(each, owner.st_uid, owner.st_gid, follow_symlinks=False)


def sweep_downloads(kept: Path) -> None:
    """Let go of the files below ``kept`` that no model folder shares; what is shared takes no room of its own."""
    for path in sorted(kept.rglob("*"), reverse=True):  # files before their folders
        if path.is_dir():
            with suppress(OSError):
                path.rmdir()
        elif path.stat().st_nlink == 1:
            path.unlink()
    with suppress(OSError):
        kept.rmdir()


@contextmanager
def locked(models_dir: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Only one fetch at a time fills a models directory; leftovers of killed ones are swept on entry."""
    try:
        models_dir.mkdir(parents=True, exist_ok=True)
        lock = (models_dir / ".lock").open("w")
    except OSError as error:
        fix = "choose another with --models-dir (or ARENA_MODELS_DIR)"
        raise ModelsError(f"{models_dir} cannot be written: {error.strerror}; {fix}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(lock, fcntl.LOCK_EX)
        for left in models_dir.glob(f"{BUILD_PREFIX}*"):
            shutil.rmtree(left, ignore_errors=True)
        try:
            yield
        finally:
            for made in (models_dir / ".lock", models_dir / KEPT):
                _give(made, models_dir)


def _has_size(file: Path, size: int) -> bool:
    try:
        return file.stat().st_size == size
    except OSError:
        return False
