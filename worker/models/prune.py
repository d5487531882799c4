"""What lies in the models directory for no catalog's sake: found, and removed."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from worker.contract.catalog import Catalog, HubSource
from worker.models import store
from worker.models.errors import ModelsError
from worker.models.mirror import KEPT as FROM_MIRRORS
from worker.models.verify import folders


def superfluous(models_dir: Path, catalogs: Sequence[Catalog]) -> list[Path]:
    """Fetched folders of models that no catalog names, enabled or not, and downloads that no fetch will go on from.

    A folder that was not fetched, or is a link to elsewhere, is somebody's own and never among them.
    """
    named = {entry.id for catalog in catalogs for entry in catalog.entries}
    fetched = [f for f in folders(models_dir) if (f / store.PROVENANCE).exists() and not f.is_symlink()]
    return [*(f for f in fetched if f.name not in named), *_downloads(models_dir, catalogs)]


def remove(models_dir: Path, paths: Sequence[Path]) -> None:
    """Each is out of sight at once, whole, and then gone. Raises ModelsError."""
    for number, path in enumerate(paths):
        aside = models_dir / f"{store.BUILD_PREFIX}pruned-{os.getpid()}-{number}"  # swept, should this be interrupted
        try:
            path.rename(aside)
            shutil.rmtree(aside)
        except OSError as error:
            raise ModelsError(f"{path} cannot be removed: {error.strerror}; run as the owner of {models_dir}") from None


def freed_bytes(paths: Sequence[Path]) -> int:
    """Of the disk, once these are gone: a file that has another name elsewhere stays."""
    found = [f.stat() for path in paths for f in path.rglob("*") if f.is_file() and not f.is_symlink()]
    names = Counter((s.st_dev, s.st_ino) for s in found)
    sizes = {(s.st_dev, s.st_ino): s.st_size for s in found if names[s.st_dev, s.st_ino] == s.st_nlink}
    return sum(sizes.values())


def _downloads(models_dir: Path, catalogs: Sequence[Catalog]) -> Iterator[Path]:
    """What was kept of interrupted downloads, less what the next fetch needs."""
    missing = [m for catalog in catalogs for m in store.missing(models_dir, catalog)]
    repos = {s.repo.replace("/", "--") for m in missing for s in store.sources_of(m) if isinstance(s, HubSource)}
    for kind, wanted in (("hub", repos), (FROM_MIRRORS, {m.id for m in missing})):
        kept = models_dir / store.KEPT / kind
        if kept.is_dir():
            yield from (p for p in sorted(kept.iterdir()) if p.is_dir() and p.name not in wanted)
