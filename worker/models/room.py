"""Whether what is to come has room: on the disk, and in what the models may take of it; known before a byte arrives."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from worker.models.errors import BudgetTooSmall, DiskTooSmall, size_text
from worker.models.progress import Progress


@dataclass(frozen=True, slots=True)
class Coming:
    """One model's bytes: to download, to keep, taken besides while it is made, and here already of what was cut off."""

    download: int
    kept: int
    meanwhile: int = 0
    begun: int = 0


def check_room(coming: Sequence[Coming], models_dir: Path, progress: Progress, budget: int = 0) -> None:
    """State what will be downloaded and kept; raises BudgetTooSmall (``budget`` 0: none) or DiskTooSmall."""
    if not coming:
        return
    begun = sum(c.begun for c in coming)
    download = sum(max(0, c.download - c.begun) for c in coming)
    kept = sum(c.kept for c in coming)
    need = max(0, kept + max(c.meanwhile for c in coming) - begun)
    free = shutil.disk_usage(models_dir).free
    progress.say(
        f"{len(coming)} models to fetch into {models_dir}: {size_text(download)} to download, "
        f"{size_text(kept)} to keep, {size_text(need)} needed meanwhile, {size_text(free)} free"
    )
    taken = taken_bytes(models_dir) if budget else 0
    if budget and taken + need > budget:
        raise BudgetTooSmall(str(models_dir), budget, taken, need)
    if free < need:
        raise DiskTooSmall(str(models_dir), need, free)


def taken_bytes(folder: Path) -> int:
    """Of the disk, by all files below ``folder``: one file under two names counts once."""
    return sum({(found.st_dev, found.st_ino): found.st_size for found in _files(folder)}.values())


def _files(folder: Path) -> Iterator[os.stat_result]:
    for path in folder.rglob("*"):
        try:
            if path.is_file() and not path.is_symlink():
                yield path.stat()
        except OSError:
            continue
