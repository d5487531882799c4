"""The file of a backup: a gzipped tar whose manifest has the digest of each of its parts."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import tarfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

FORM = 1
MANIFEST = "manifest.json"
PATTERN = "arena-*.tar.gz"


class BackupError(Exception):
    """One line, with what to do."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """``made_at``: UTC, ISO 8601. ``revision``: the database's. ``counts``: rows, for whoever chooses among backups."""

    made_at: str
    database: str
    revision: str
    label: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    form: int = FORM


def write(target: Path, manifest: Manifest, parts: dict[str, Path]) -> Manifest:
    """Write the file whole or not at all, readable by its owner alone; the manifest with the parts' digests."""
    files = {name: {"sha256": _digest(path), "bytes": path.stat().st_size} for name, path in sorted(parts.items())}
    full = Manifest(**{**asdict(manifest), "files": files})
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        with tarfile.open(draft, "w:gz", compresslevel=6) as tar:
            text = json.dumps(asdict(full), indent=2).encode()
            head = tarfile.TarInfo(MANIFEST)
            head.size, head.mode = len(text), 0o600
            tar.addfile(head, io.BytesIO(text))
            for name, path in sorted(parts.items()):
                tar.add(path, name, recursive=False)
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return full


def read_manifest(source: Path) -> Manifest:
    """Raises BackupError for what is no backup, or one of a later form."""
    with _opened(source) as tar:
        return _manifest(source, tar)


def extract(source: Path, into: Path) -> Manifest:
    """Take out every part that the manifest names, checking each digest. Raises BackupError for the first wrong one."""
    with _opened(source) as tar:
        manifest = _manifest(source, tar)
        for name, known in manifest.files.items():
            target = into / name
            if not target.resolve().is_relative_to(into.resolve()):
                raise BackupError(f"{source}: {name!r} leads elsewhere; this is no backup of ours")
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                member = tar.extractfile(name)
            except KeyError:
                member = None
            if member is None:
                raise BackupError(f"{source}: {name} is missing; take another backup")
            target.touch(mode=0o600)
            with target.open("wb") as out:
                while block := member.read(1 << 20):
                    out.write(block)
            if _digest(target) != known["sha256"]:
                raise BackupError(f"{source}: {name} is damaged; take another backup")
    return manifest


@contextlib.contextmanager
def _opened(source: Path):  # type: ignore[no-untyped-def]
    try:
        with tarfile.open(source, "r:gz") as tar:
            yield tar
    except (OSError, EOFError, tarfile.TarError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "is no backup, or is cut short"
        raise BackupError(f"{source}: {reason}; `python -m ops.backup list` shows those that are whole") from None


def _manifest(source: Path, tar: tarfile.TarFile) -> Manifest:
    try:
        found = tar.extractfile(MANIFEST)
        data = json.loads(found.read()) if found else {}
        if data.get("form") != FORM:
            raise BackupError(f"{source}: of form {data.get('form')}, and this release reads {FORM}; use its release")
        return Manifest(**data)
    except (KeyError, ValueError, TypeError):
        raise BackupError(f"{source}: has no manifest; this is no backup of ours") from None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
