"""Whether the models directory still holds what was recorded of it: every byte, or for a quick look the sizes alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from worker.models import store
from worker.models.ranged import digest_of

State = Literal["ok", "damaged", "unrecorded", "foreign"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of one folder. ``unrecorded``: fetched before digests were kept, and its sizes hold. ``foreign``: not fetched."""

    folder: Path
    state: State
    wrong: tuple[str, ...] = ()
    files: int = 0
    size: int = 0

    @property
    def model(self) -> str:
        return self.folder.name


def folders(models_dir: Path) -> list[Path]:
    """Of models, by name; none where there is no such directory. What is being made or kept besides is none."""
    if not models_dir.is_dir():
        return []
    return sorted(p for p in models_dir.iterdir() if p.is_dir() and not p.name.startswith("."))


def verdict_on(folder: Path, on_tick: Callable[[int, int], None] | None = None, *, hashing: bool = True) -> Verdict:
    """Compare the files with the folder's PROVENANCE.json; ``on_tick`` is told ``(done, all)`` bytes as they are
    read. Without ``hashing`` only sizes are looked at, which takes no time."""
    made_of = store.read_provenance(folder)
    sizes, digests = made_of.get("files"), made_of.get("sha256")
    if not isinstance(sizes, dict):
        signed = (folder / store.PROVENANCE).exists()
        return Verdict(folder, "damaged", (f"{store.PROVENANCE} cannot be read",)) if signed else _foreign(folder)
    total = sum(sizes.values())
    wrong = list(wrong_sizes(folder, made_of))
    if not wrong and hashing and isinstance(digests, dict):
        wrong = list(_wrong_digests(folder, sizes, digests, on_tick))
    recorded = isinstance(digests, dict) and set(digests) == set(sizes)
    state: State = "damaged" if wrong else "ok" if recorded else "unrecorded"
    return Verdict(folder, state, tuple(wrong), len(sizes), total)


def wrong_sizes(folder: Path, made_of: dict[str, Any]) -> Iterator[str]:
    """Files that are missing, of another size than recorded, or not recorded at all."""
    there = {p.relative_to(folder).as_posix(): p for p in sorted(folder.rglob("*")) if p.is_file()}
    for name, size in made_of["files"].items():
        file = there.pop(name, None)
        if file is None:
            yield f"{name} is missing"
        elif file.stat().st_size != size:
            yield f"{name} has {file.stat().st_size} bytes and {size} are recorded"
    yield from (f"{name} is not recorded" for name in there if name != store.PROVENANCE)


def _wrong_digests(
    folder: Path, sizes: dict[str, int], digests: dict[str, str], on_tick: Callable[[int, int], None] | None
) -> Iterator[str]:
    total, before = sum(sizes.values()), 0

    def tick(done: int) -> None:
        if on_tick:
            on_tick(before + done, total)

    for name, size in sizes.items():
        if name in digests and (found := digest_of(folder / name, on_tick=tick)) != digests[name]:
            yield f"{name}: sha256 is {found} and {digests[name]} is recorded"
        before += size


def _foreign(folder: Path) -> Verdict:
    return Verdict(folder, "foreign", (f"it has no {store.PROVENANCE}: not fetched, so not looked at",))
