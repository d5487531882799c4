"""What an operator types and sees: a status, one line per trouble, a table."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.worker.models.conftest import FOLDER, sha256
from worker.models import store
from worker.models.cli import main

CATALOG = """
[[models]]
id = "tiny"
name = "Tiny"
maker = "Nobody"
family = "tiny"
licence = "Apache-2.0"
kv_bytes = "1MiB"
[[models.sources]]
kind = "pypi"
packages = ["tiny-weights==1.0"]
sha256 = "{digest}"

[[models]]
id = "echo"
name = "Echo"
maker = "Nobody"
family = "echo"
licence = "MIT"
engine = "echo"
"""


@pytest.fixture
def catalog(tmp_path: Path, wheel: Callable[..., Path]) -> Path:
    file = tmp_path / "catalog.toml"
    file.write_text(CATALOG.format(digest=sha256(wheel("tiny-weights", FOLDER))))
    return file


def arguments(command: str, catalog: Path, models_dir: Path) -> list[str]:
    return [command, "--catalog", str(catalog), "--models-dir", str(models_dir)]


def test_list_tells_what_is_missing_and_then_what_is_here(
    catalog: Path, models_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments("list", catalog, models_dir)) == 0
    out = capsys.readouterr().out
    assert "tiny  Tiny  missing" in out
    assert "needs nothing" in out

    assert main(arguments("fetch", catalog, models_dir)) == 0
    capsys.readouterr()

    assert main(arguments("list", catalog, models_dir)) == 0
    out = capsys.readouterr().out
    assert "missing" not in out
    assert str(models_dir / "tiny") in out


def test_a_model_that_cannot_be_had_is_one_line_and_status_1(
    catalog: Path, models_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    catalog.write_text(CATALOG.format(digest="0" * 64))
    assert main(arguments("fetch", catalog, models_dir)) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("models: cannot fetch tiny: pypi tiny-weights==1.0: sha256 is ")


def test_a_bad_catalog_is_one_line_and_status_1(
    catalog: Path, models_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    catalog.write_text(catalog.read_text().replace('"1MiB"', '"plenty"'))
    assert main(arguments("fetch", catalog, models_dir)) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "models[0].kv_bytes (tiny)" in err


def test_the_models_directory_comes_from_the_environment_unless_a_flag_says_otherwise(
    catalog: Path, models_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ARENA_MODELS_DIR", str(models_dir / "elsewhere"))
    monkeypatch.setenv("ARENA_CATALOG", str(catalog))
    assert main(["list"]) == 0
    assert str(models_dir / "elsewhere" / "tiny") in capsys.readouterr().out


def test_a_setting_that_is_none_is_one_line_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ARENA_QUEUE_BOUND", "plenty")
    assert main(["list"]) == 1
    assert capsys.readouterr().err.startswith("models: ARENA_QUEUE_BOUND: ")


def test_a_disk_that_fills_up_is_one_line_and_leaves_nothing(
    catalog: Path, models_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/the/file")

    monkeypatch.setattr(store, "sign", full)
    assert main(arguments("fetch", catalog, models_dir)) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("models: /the/file: No space left on device; look at that disk")
    assert {p.name for p in models_dir.iterdir()} == {".lock"}


def test_kill_in_the_middle_of_a_download_leaves_nothing_half_made(
    catalog: Path, models_dir: Path, tmp_path: Path
) -> None:
    pipe = tmp_path / "started"
    os.mkfifo(pipe)
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text(f"#!/bin/sh\necho partial > half.tgz\necho > {pipe}\nexec sleep 600\n")
    npm.chmod(0o755)
    stuck = catalog.read_text().replace('"pypi"', '"npm"').replace("tiny-weights==1.0", "tiny@1.0.0")
    catalog.write_text(stuck)
    process = subprocess.Popen(
        [sys.executable, "-m", "worker.models", *arguments("fetch", catalog, models_dir)],
        env={**os.environ, "PATH": f"{npm.parent}{os.pathsep}{os.environ['PATH']}"},
        stderr=subprocess.PIPE,
        text=True,
    )
    pipe.read_text()  # returns when the download has begun
    assert list(models_dir.rglob("half.tgz"))
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted" in err
    assert {p.name for p in models_dir.iterdir()} == {".lock"}
